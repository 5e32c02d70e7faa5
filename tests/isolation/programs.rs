//! Modules shared by tests of the real program in its own namespaces: namespaces, pseudo-terminal, waiting. Each test program uses
//! part of it.

#[path = "namespaces.rs"]
pub(crate) mod namespaces;
#[path = "../pty/screen.rs"]
pub(crate) mod screen;
#[path = "wait.rs"]
pub(crate) mod wait;
