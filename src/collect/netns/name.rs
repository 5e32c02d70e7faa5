//! What a network namespace is called.

use crate::model::{ProcInfo, text};
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where `ip netns` mounts the namespaces it names (ip-netns(8)).
const NAMED: &str = "/run/netns";

/// The namespaces that `ip netns` names: file by inode. `dev` is the device of namespace files; a file that is not
/// mounted over yet has another.
pub(super) fn named(dev: u64) -> BTreeMap<u64, PathBuf> {
    let Ok(dir) = std::fs::read_dir(NAMED) else { return BTreeMap::new() };
    let file = |path: PathBuf| {
        let m = std::fs::metadata(&path).ok()?;
        (m.dev() == dev).then_some((m.ino(), path))
    };
    dir.flatten().filter_map(|e| file(e.path())).collect()
}

/// The name of such a file.
pub(super) fn of_file(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |n| text::from_bytes(n.as_bytes()).into_owned())
}

/// Called after its oldest process: its container, else the process itself.
pub(super) fn of_process(p: &ProcInfo) -> String {
    match p.cgroup.as_deref().and_then(container) {
        Some(id) => id.to_owned(),
        None => format!("{} {}", p.comm, p.pid),
    }
}

/// The short id of the container whose control group this is: twelve digits, as `docker ps` shows them. Runtimes name
/// the group after the whole id of 64 digits (`docker-ID.scope`, `/docker/ID`, `cri-containerd-ID.scope`); in one below
/// another the innermost counts.
fn container(cgroup: &str) -> Option<&str> {
    let id = |part: &'_ str| -> Option<(usize, usize)> {
        let word = part.strip_suffix(".scope").unwrap_or(part);
        let begin = word.rfind('-').map_or(0, |i| i + 1);
        let id = &word[begin..];
        let hex = id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit());
        hex.then_some((begin, begin + 12))
    };
    cgroup.split('/').rev().find_map(|part| id(part).map(|(a, b)| &part[a..b]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers() {
        let id = "0123456789abcdef".repeat(4);
        for path in [
            format!("/system.slice/docker-{id}.scope"),
            format!("/docker/{id}"),
            format!("/kubepods.slice/kubepods-pod1.slice/cri-containerd-{id}.scope"),
            format!("/machine.slice/libpod-{id}.scope/container"),
            format!("/docker/{}/docker/{id}", "f".repeat(64)),
        ] {
            assert_eq!(container(&path), Some("0123456789ab"), "{path}");
        }
        for path in ["/", "", "/system.slice/nginx.service", "/docker/0123456789ab", "/a-.scope"] {
            assert_eq!(container(path), None, "{path}");
        }
        assert_eq!(container(&format!("/docker/{}", "g".repeat(64))), None);
    }

    #[test]
    fn a_process_gives_its_name() {
        let p = |cgroup: Option<&str>| ProcInfo {
            pid: 812,
            ppid: 1,
            start_ns: 0,
            comm: "nginx".into(),
            cmdline: "".into(),
            uid: 0,
            cgroup: cgroup.map(Into::into),
        };
        assert_eq!(of_process(&p(Some("/system.slice/nginx.service"))), "nginx 812");
        assert_eq!(of_process(&p(None)), "nginx 812");
        assert_eq!(of_process(&p(Some(&format!("/docker/{}", "ab".repeat(32))))), "abababababab");
    }
}
