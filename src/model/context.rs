//! Security contexts: labels that a security module (`SELinux`, `AppArmor`, Smack) assigns to processes and sockets.

use super::fault::Missing;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Label as the module writes it, `system_u:system_r:httpd_t:s0`, or the reason there is none.
pub type Label = Result<Arc<str>, Missing>;

/// Labels of one poll, as far as requested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contexts {
    /// Labels of processes (`/proc/PID/attr/current`), parallel to [`super::Sample::processes`]; empty if not
    /// requested.
    pub processes: Vec<Label>,
    /// Labels of sockets with an owner (extended attribute `security.selinux` of the inode, getfilecon(3)), by inode;
    /// else the reason there are none.
    pub sockets: Result<BTreeMap<u64, Label>, Missing>,
}

impl Default for Contexts {
    /// Nothing requested.
    fn default() -> Self {
        Self { processes: Vec::new(), sockets: Err(Missing::NotRead) }
    }
}
