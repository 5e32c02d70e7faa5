//! What a network namespace is called.

use crate::model::{Container, ContainerEngine, ProcInfo, Unit, text};
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where `ip netns` mounts the namespaces it names (ip-netns(8)), and Docker those of its containers.
const MOUNTED: [&str; 2] = ["/run/netns", "/run/docker/netns"];

/// Where a namespace is mounted.
#[derive(Clone, Debug)]
pub(crate) struct Mounted {
    pub(crate) path: PathBuf,
    /// When the kernel made the file that the mount holds, seconds and nanoseconds: another one of the same inode has
    /// another time.
    pub(crate) made: (i64, i64),
    /// Whether the file has a name that somebody gave: engines call theirs by numbers.
    pub(crate) by_hand: bool,
}

/// The namespaces that are mounted, by inode. `dev` is the device of namespace files; a file that is not mounted over yet
/// has another.
pub(crate) fn named(dev: u64) -> BTreeMap<u64, Mounted> {
    let mut out = BTreeMap::new();
    for dir in MOUNTED {
        for path in std::fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()) {
            let Ok(m) = std::fs::metadata(&path) else { continue };
            if m.dev() == dev {
                let by_hand = dir == MOUNTED[0] && !is_number(&of_file(&path));
                let made = (m.ctime(), m.ctime_nsec());
                out.entry(m.ino()).or_insert(Mounted { path, made, by_hand });
            }
        }
    }
    out
}

/// The inode of what `ip netns` calls so.
pub(crate) fn inode_of(name: &str) -> Option<u64> {
    let is_file = !name.is_empty() && !name.contains('/') && !name.starts_with('.');
    let found = std::fs::metadata(Path::new(MOUNTED[0]).join(name)).ok().filter(|_| is_file);
    found.map(|m| m.ino())
}

/// Whether an engine called a file so: `netns-UUID` is Podman's, `cni-UUID` that of Kubernetes' network plugins.
fn is_number(file: &str) -> bool {
    let uuid = file.strip_prefix("netns-").or_else(|| file.strip_prefix("cni-"));
    uuid.is_some_and(|u| u.len() == 36 && u.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-'))
}

/// The name of such a file.
pub(crate) fn of_file(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |n| text::from_bytes(n.as_bytes()).into_owned())
}

/// Processes above one that are looked through for the one that watches it for Podman.
const DEEP: usize = 16;

/// Called after the processes in it, of which these are the oldest, oldest first: after the container that one of them is
/// part of, since an engine's own helpers (`rootlessport`, `pasta`) come in before it; else after the oldest alone. `told` is what
/// the engines say of their containers; `who` tells who a process is.
pub(crate) fn of_processes(
    pids: &[u32],
    told: &[Container],
    who: impl Fn(u32) -> Option<ProcInfo>,
) -> Option<String> {
    let all = || pids.iter().filter_map(|pid| who(*pid));
    all().find_map(|p| container(&p, told, &who)).or_else(|| all().next().map(|p| of_process(&p)))
}

/// What the container of a process is called, or its pod: all containers of a pod share the namespace.
fn container(p: &ProcInfo, told: &[Container], who: impl Fn(u32) -> Option<ProcInfo>) -> Option<String> {
    let label = |c: &Container| {
        let c = told.iter().find(|t| t.id == c.id).unwrap_or(c);
        c.pod.as_ref().map_or_else(|| c.label(), |pod| pod.label()).to_owned()
    };
    let of_cgroup = p.cgroup.as_deref().and_then(|path| Unit::parse(path).container);
    if let Some(c) = of_cgroup {
        // Applications of these two have no network of their own.
        let none = matches!(c.engine, ContainerEngine::Flatpak | ContainerEngine::Snap);
        return (!none).then(|| label(&c));
    }
    // Podman of an ordinary user may make no control groups; there its monitor is what tells.
    let mut parent = p.ppid;
    for _ in 0..DEEP {
        let above = who(parent).filter(|_| parent > 1)?;
        if let Some(c) = Container::of_monitor(&above.comm, &above.cmdline) {
            return Some(label(&c));
        }
        parent = above.ppid;
    }
    None
}

/// A process outside containers: its service, else itself.
fn of_process(p: &ProcInfo) -> String {
    let unit = p.cgroup.as_deref().map(Unit::parse).unwrap_or_default();
    let service = |n: &&str| n.strip_suffix(".service").is_some() && !n.starts_with("user@");
    match unit.name.as_deref().filter(service) {
        Some(name) => name.to_owned(),
        None => format!("{} {}", p.comm, p.pid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, ppid: u32, comm: &str, cmdline: &str, cgroup: Option<&str>) -> ProcInfo {
        let cgroup = cgroup.map(Into::into);
        ProcInfo { pid, ppid, start_ns: 0, comm: comm.into(), cmdline: cmdline.into(), uid: 0, cgroup }
    }

    fn called(all: &[ProcInfo], pids: &[u32], told: &[Container]) -> Option<String> {
        of_processes(pids, told, |pid| all.iter().find(|p| p.pid == pid).cloned())
    }

    #[test]
    fn called_by_pod_container_service_or_process() {
        let id = "ab".repeat(32);
        let mut web = Container::new(ContainerEngine::Docker, &id);
        web.name = Some("web".into());
        let told = [web];
        let pod = "2d1c9b1e-8f0e-4d2b-9d55-9f1b0b1d6a77";
        for (cgroup, told, want) in [
            (None, &told[..], "nginx 812"),
            (Some("/"), &told[..], "nginx 812"),
            (Some("/user.slice/user-0.slice/session-3.scope"), &told[..], "nginx 812"),
            (Some("/user.slice/user-0.slice/user@0.service"), &told[..], "nginx 812"),
            (Some("/system.slice/nginx.service"), &told[..], "nginx.service"),
            (Some(&*format!("/docker/{id}")), &told[..], "web"),
            (Some(&*format!("/docker/{id}")), &[], "abababababab"),
            (Some(&*format!("/kubepods/pod{pod}/{}", "cd".repeat(32))), &told[..], pod),
            (Some("/lxc.payload.mail/system.slice/postfix.service"), &[], "mail"),
        ] {
            let p = process(812, 1, "nginx", "", cgroup);
            assert_eq!(called(&[p], &[812], told).as_deref(), Some(want), "{cgroup:?}");
        }
        assert_eq!(called(&[], &[812], &told), None, "gone");
    }

    #[test]
    fn an_ordinary_users_container_is_known_by_its_monitor_and_not_by_the_helpers_that_came_first() {
        let id = "cd".repeat(32);
        let monitor = format!("/usr/bin/conmon --api-version 1 -c {id} -u {id} -n site -l k8s-file:x");
        let all = [
            process(60, 1, "podman", "podman", None),
            process(70, 1, "rootlessport", "rootlessport", Some("/")),
            process(75, 70, "rootlessport-ch", "rootlessport-child", Some("/")),
            process(83, 1, "conmon", &monitor, Some("/")),
            process(94, 83, "busybox", "/bin/busybox httpd", Some("/")),
        ];
        assert_eq!(called(&all, &[70, 75, 94], &[]).as_deref(), Some("site"));
        assert_eq!(called(&all, &[70, 75], &[]).as_deref(), Some("rootlessport 70"));
        let mut told = Container::new(ContainerEngine::Podman, &id);
        told.name = Some("renamed".into());
        assert_eq!(called(&all, &[70, 75, 94], &[told]).as_deref(), Some("renamed"));
    }

    #[test]
    fn a_number_is_no_name() {
        for (file, number) in [
            ("red", false),
            ("netns-1", false),
            ("netns-2d1c9b1e-8f0e-4d2b-9d55-9f1b0b1d6a77", true),
            ("cni-2d1c9b1e-8f0e-4d2b-9d55-9f1b0b1d6a77", true),
        ] {
            assert_eq!(is_number(file), number, "{file}");
        }
    }
}
