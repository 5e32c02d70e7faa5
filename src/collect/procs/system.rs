//! System-wide limits from `/proc/sys` (`proc_sys_fs(5)`, ip(7)).

use crate::collect::proc_file;
use crate::model::SystemLimits;
use std::path::Path;

/// Reads the limits; those that cannot be read stay `None`.
pub(crate) fn read(root: &Path, out: &mut SystemLimits) {
    let word = |path: &str, n: usize| word(root, path, n);
    out.files_open = open_files(root);
    out.files_max = word("sys/fs/file-max", 0);
    out.nr_open = word("sys/fs/nr_open", 0);
    out.somaxconn = word("sys/net/core/somaxconn", 0);
    let port = |n| word("sys/net/ipv4/ip_local_port_range", n).and_then(|p| u16::try_from(p).ok());
    out.local_ports = port(0).zip(port(1));
}

/// Open files of the whole machine.
pub(crate) fn open_files(root: &Path) -> Option<u64> {
    word(root, "sys/fs/file-nr", 0)
}

/// The number at this place of a setting.
fn word(root: &Path, path: &str, n: usize) -> Option<u64> {
    let text = proc_file::read(&root.join(path)).ok()?;
    text.split_ascii_whitespace().nth(n)?.parse().ok()
}
