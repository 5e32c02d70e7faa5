//! Actions on the machine, as data; the runner executes them.

use crate::model::signal::SignalInfo;
use crate::model::{Namespace, ProcInfo, Socket};
use std::sync::Arc;

/// An action on the machine.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Send these processes a signal.
    Signal(Vec<Arc<ProcInfo>>, SignalInfo),
    /// Close these sockets, of these network namespaces.
    CloseSockets(Vec<Socket>, Arc<[Namespace]>),
    /// Change the fd limits of this process (`RLIMIT_NOFILE`): soft and hard, from and to.
    RaiseFdLimit(Arc<ProcInfo>, (u64, u64), (u64, u64)),
    /// Copy this text to the clipboard.
    Copy(String),
}
