//! Directory of the socket tables and counters of a `/proc`.

use std::fs;
use std::path::{Path, PathBuf};

/// Directory with the tables of a tree. `net` of a mounted `/proc` is a link to that of the reader (`self/net`), so in the `/proc` of
/// another pid namespace or machine the tables are those of its pid 1.
pub(crate) fn net_root(root: &Path) -> PathBuf {
    let is_link = fs::symlink_metadata(root.join("net")).map_or(true, |m| m.is_symlink());
    let init = root.join("1");
    let is_own = root == Path::new("/proc");
    if !is_own && is_link && init.join("net").is_dir() { init } else { root.to_owned() }
}
