//! Samples of another host: the stream between an agent and its reader.
//!
//! An agent (`sockscope agent --stdio`) writes a [`Hello`] and then, for each request, one frame as in a recording. Its reader
//! writes a hello and requests. Nothing listens on a port: the two directions are the standard input and output of a command
//! that `ssh` starts, or the two directions of a socket pair. [`FrameSource`] is a [`Source`](super::Source) over such a stream,
//! so that nothing after it knows where a sample comes from.
//!
//! What an agent sends is as trustworthy as its host: sizes are bounded before anything is read, texts are escaped where they
//! are shown, and a stream that is wrong in one place is not used from there on.

mod ask;
mod copy;
mod frame_source;
mod hello;
mod message;
mod methods;
mod questions;
mod remote_end;
mod ssh;

pub use ask::{
    ActOn, Ask, AskKind, MAX_TARGETS, Outcome, ProbeOf, ProcessId, Reply, SocketTarget, signal_named,
};
pub use copy::{AgentBinary, CopyError};
pub use frame_source::FrameSource;
pub use hello::{Agreed, Hello};
pub use message::{Inbox, Item, Kind, Request, StreamError, message, request};
pub use methods::Methods;
pub use questions::{Asker, NoReply};
pub use remote_end::RemoteEnd;
pub use ssh::{Remote, SshCommand, check_host, share_of_memory};
