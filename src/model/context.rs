//! Security contexts: the labels that a security module (`SELinux`, `AppArmor`, Smack) gives to processes and sockets.

use super::fault::Missing;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A label as the module writes it, `system_u:system_r:httpd_t:s0`, or why there is none.
pub type Label = Result<Arc<str>, Missing>;

/// The labels of one poll, as far as they were asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contexts {
    /// Of each process (`/proc/PID/attr/current`), beside [`super::Sample::processes`]; empty where not asked for.
    pub processes: Vec<Label>,
    /// Of sockets that a process holds (the attribute `security.selinux` of their inode, getfilecon(3)), by inode; else
    /// why there are none of any socket.
    pub sockets: Result<BTreeMap<u64, Label>, Missing>,
}

impl Default for Contexts {
    /// Nothing was asked for.
    fn default() -> Self {
        Self { processes: Vec::new(), sockets: Err(Missing::NotRead) }
    }
}
