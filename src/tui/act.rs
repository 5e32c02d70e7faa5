//! Actions on the machine, as data; the runner executes them.

use crate::model::signal::SignalInfo;
use crate::model::{Namespace, ProcInfo, Socket};
use std::sync::Arc;

/// Something to be done outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Send these processes a signal.
    Signal(Vec<Arc<ProcInfo>>, SignalInfo),
    /// End these sockets, of these network namespaces.
    CloseSockets(Vec<Socket>, Arc<[Namespace]>),
    /// Set the soft limit of this process's descriptors (`RLIMIT_NOFILE`): from, to.
    RaiseFdLimit(Arc<ProcInfo>, (u64, u64), (u64, u64)),
    /// Put this text on the clipboard.
    Copy(String),
}
