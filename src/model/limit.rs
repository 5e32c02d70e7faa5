//! Ceilings of the whole system.

use serde::{Deserialize, Serialize};

/// System-wide descriptor figures and tables, `None` where they could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SystemLimits {
    /// Open file descriptions on the system: first field of `/proc/sys/fs/file-nr`.
    pub files_open: Option<u64>,
    /// Their ceiling: `/proc/sys/fs/file-max`.
    pub files_max: Option<u64>,
    /// Ceiling of any process's hard limit: `/proc/sys/fs/nr_open`.
    pub nr_open: Option<u64>,
    /// Ceiling of every accept queue: `/proc/sys/net/core/somaxconn`.
    pub somaxconn: Option<u64>,
    /// Ports the kernel chooses from, first and last: `/proc/sys/net/ipv4/ip_local_port_range`.
    pub local_ports: Option<(u16, u16)>,
}
