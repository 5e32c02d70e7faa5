//! Names of network namespaces: by mount, container, service or process.

use crate::model::{Container, ContainerEngine, ProcInfo, Unit, text};
use std::collections::BTreeMap;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Directories in which `ip netns` mounts the namespaces it names (ip-netns(8)), and Docker those of its containers.
const MOUNT_DIRS: [&str; 2] = ["/run/netns", "/run/docker/netns"];

/// Mount of a namespace.
#[derive(Clone, Debug)]
pub(crate) struct NetnsMount {
    pub(crate) path: PathBuf,
    /// Time the kernel created the mounted file, seconds and nanoseconds: it differs if the inode has been reused.
    pub(crate) created: (i64, i64),
    /// True if the file name was given by a user; engines use UUIDs.
    pub(crate) has_given_name: bool,
}

/// Mounted namespaces by inode. `dev` is the device of namespace files; a file that is not yet a mount point has another.
pub(crate) fn mounts(dev: u64) -> BTreeMap<u64, NetnsMount> {
    let mut out = BTreeMap::new();
    for dir in MOUNT_DIRS {
        for path in std::fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()) {
            let Ok(m) = std::fs::metadata(&path) else { continue };
            if m.dev() == dev {
                let has_given_name = dir == MOUNT_DIRS[0] && !is_engine_id(&file_name(&path));
                let created = (m.ctime(), m.ctime_nsec());
                out.entry(m.ino()).or_insert(NetnsMount { path, created, has_given_name });
            }
        }
    }
    for path in bind_mounts(&std::fs::read("/proc/thread-self/mountinfo").unwrap_or_default()) {
        let Ok(m) = std::fs::metadata(&path) else { continue };
        if m.dev() == dev {
            let has_given_name = !is_engine_id(&file_name(&path));
            let created = (m.ctime(), m.ctime_nsec());
            out.entry(m.ino()).or_insert(NetnsMount { path, created, has_given_name });
        }
    }
    out
}

/// Paths at which network namespaces are mounted, by `mountinfo` (`proc_pid_mountinfo(5)`): their root is `net:[INODE]`.
fn bind_mounts(mountinfo: &[u8]) -> Vec<PathBuf> {
    let path = |line: &[u8]| {
        let mut fields = line.split(|c| *c == b' ');
        let root = fields.nth(3)?;
        root.starts_with(b"net:[").then_some(())?;
        Some(PathBuf::from(std::ffi::OsString::from_vec(unescaped(fields.next()?))))
    };
    mountinfo.split(|c| *c == b'\n').filter_map(path).collect()
}

/// Name under which `ip netns exec` started a process, by the `mountinfo` of that: the sysfs it mounts has the name as source. The
/// file is readable by every user, `ns/net` is not.
pub(super) fn exec_name(mountinfo: &[u8]) -> Option<String> {
    let source = |line: &[u8]| {
        let mut fields = line.split(|c| *c == b' ');
        (fields.nth(4)? == b"/sys").then_some(())?;
        let mut fields = fields.skip_while(|f| *f != b"-").skip(1);
        (fields.next()? == b"sysfs").then_some(())?;
        String::from_utf8(unescaped(fields.next()?)).ok()
    };
    // The last mount covers the others. `sysfs` and `none` are what everybody else gives as source.
    let last = mountinfo.split(|c| *c == b'\n').filter_map(source).next_back()?;
    Some(last).filter(|name| !["sysfs", "none"].contains(&name.as_str()))
}

/// Text of a field of `mountinfo`: blanks, backslashes and line ends are written as three octal digits.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|d| *first == b'\\' && d.iter().all(|c| (b'0'..b'8').contains(c)));
        match octal {
            Some(d) => {
                out.push(d.iter().fold(0u8, |n, c| n.wrapping_mul(8).wrapping_add(c - b'0')));
                rest = &after[3..];
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

/// Inode of the namespace that `ip netns` has under this name.
pub(crate) fn inode_of(name: &str) -> Option<u64> {
    let is_valid = !name.is_empty() && !name.contains('/') && !name.starts_with('.');
    let found = std::fs::metadata(Path::new(MOUNT_DIRS[0]).join(name)).ok().filter(|_| is_valid);
    found.map(|m| m.ino())
}

/// True if an engine generated the file name: `netns-UUID` is Podman's, `cni-UUID` that of Kubernetes network plugins.
fn is_engine_id(file: &str) -> bool {
    let uuid = file.strip_prefix("netns-").or_else(|| file.strip_prefix("cni-"));
    uuid.is_some_and(|u| u.len() == 36 && u.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-'))
}

/// Name of the mounted file.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |n| text::from_bytes(n.as_bytes()).into_owned())
}

/// Ancestors searched for Podman's monitor of a process.
const ANCESTORS_MAX: usize = 16;

/// Name by these processes, the oldest in the namespace, oldest first: the container of one of them, since helpers of the
/// engine (`rootlessport`, `pasta`) join before it, or else the oldest process. `containers` are those known to the engines.
pub(crate) fn by_processes(
    pids: &[u32],
    containers: &[Container],
    proc_info: impl Fn(u32) -> Option<ProcInfo>,
) -> Option<String> {
    let infos = || pids.iter().filter_map(|pid| proc_info(*pid));
    let by_container = infos().find_map(|p| container_label(&p, containers, &proc_info));
    by_container.or_else(|| infos().next().map(|p| process_label(&p)))
}

/// Name of the container of a process, or of its pod: all containers of a pod share the namespace.
fn container_label(
    p: &ProcInfo,
    containers: &[Container],
    proc_info: impl Fn(u32) -> Option<ProcInfo>,
) -> Option<String> {
    let label = |c: &Container| {
        let c = containers.iter().find(|k| k.id == c.id).unwrap_or(c);
        c.pod.as_ref().map_or_else(|| c.label(), |pod| pod.label()).to_owned()
    };
    let by_cgroup = p.cgroup.as_deref().and_then(|path| Unit::parse(path).container);
    if let Some(c) = by_cgroup {
        // These two have no network namespaces of their own.
        let shares_host = matches!(c.engine, ContainerEngine::Flatpak | ContainerEngine::Snap);
        return (!shares_host).then(|| label(&c));
    }
    // Rootless Podman may not create cgroups; then its monitor process identifies the container.
    let mut parent = p.ppid;
    for _ in 0..ANCESTORS_MAX {
        let ancestor = proc_info(parent).filter(|_| parent > 1)?;
        if let Some(c) = Container::from_conmon(&ancestor.comm, &ancestor.cmdline) {
            return Some(label(&c));
        }
        parent = ancestor.ppid;
    }
    None
}

/// Name of a process outside containers: its service, or else command and pid.
fn process_label(p: &ProcInfo) -> String {
    let unit = p.cgroup.as_deref().map(Unit::parse).unwrap_or_default();
    let is_service = |n: &&str| n.strip_suffix(".service").is_some() && !n.starts_with("user@");
    match unit.name.as_deref().filter(is_service) {
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

    fn name_of(all: &[ProcInfo], pids: &[u32], containers: &[Container]) -> Option<String> {
        by_processes(pids, containers, |pid| all.iter().find(|p| p.pid == pid).cloned())
    }

    #[test]
    fn namespace_is_named_by_pod_container_service_or_process() {
        let id = "ab".repeat(32);
        let mut web = Container::new(ContainerEngine::Docker, &id);
        web.name = Some("web".into());
        let containers = [web];
        let pod = "2d1c9b1e-8f0e-4d2b-9d55-9f1b0b1d6a77";
        for (cgroup, containers, want) in [
            (None, &containers[..], "nginx 812"),
            (Some("/"), &containers[..], "nginx 812"),
            (Some("/user.slice/user-0.slice/session-3.scope"), &containers[..], "nginx 812"),
            (Some("/user.slice/user-0.slice/user@0.service"), &containers[..], "nginx 812"),
            (Some("/system.slice/nginx.service"), &containers[..], "nginx.service"),
            (Some(&*format!("/docker/{id}")), &containers[..], "web"),
            (Some(&*format!("/docker/{id}")), &[], "abababababab"),
            (Some(&*format!("/kubepods/pod{pod}/{}", "cd".repeat(32))), &containers[..], pod),
            (Some("/lxc.payload.mail/system.slice/postfix.service"), &[], "mail"),
        ] {
            let p = process(812, 1, "nginx", "", cgroup);
            assert_eq!(name_of(&[p], &[812], containers).as_deref(), Some(want), "{cgroup:?}");
        }
        assert_eq!(name_of(&[], &[812], &containers), None, "gone");
    }

    #[test]
    fn rootless_container_is_identified_by_its_monitor_not_by_older_helpers() {
        let id = "cd".repeat(32);
        let monitor = format!("/usr/bin/conmon --api-version 1 -c {id} -u {id} -n site -l k8s-file:x");
        let all = [
            process(60, 1, "podman", "podman", None),
            process(70, 1, "rootlessport", "rootlessport", Some("/")),
            process(75, 70, "rootlessport-ch", "rootlessport-child", Some("/")),
            process(83, 1, "conmon", &monitor, Some("/")),
            process(94, 83, "busybox", "/bin/busybox httpd", Some("/")),
        ];
        assert_eq!(name_of(&all, &[70, 75, 94], &[]).as_deref(), Some("site"));
        assert_eq!(name_of(&all, &[70, 75], &[]).as_deref(), Some("rootlessport 70"));
        let mut renamed = Container::new(ContainerEngine::Podman, &id);
        renamed.name = Some("renamed".into());
        assert_eq!(name_of(&all, &[70, 75, 94], &[renamed]).as_deref(), Some("renamed"));
    }

    #[test]
    fn bind_mounts_of_network_namespaces_are_found_in_mountinfo() {
        let text = b"23 29 0:21 / /proc rw - proc proc rw\n\
            90 29 0:4 net:[4026532201] /srv/my\\040ns rw shared:5 - nsfs nsfs rw\n\
            91 29 0:4 mnt:[4026532202] /srv/mnt rw - nsfs nsfs rw\nbroken\n";
        assert_eq!(bind_mounts(text), [PathBuf::from("/srv/my ns")]);
    }

    #[test]
    fn name_of_ip_netns_exec_is_the_source_of_its_sysfs() {
        let text = |source: &str| {
            format!(
                "23 27 0:22 / /sys rw,relatime - sysfs sysfs rw\n\
                 24 23 0:7 / /sys/kernel/debug rw - debugfs red rw\n\
                 49 46 0:39 / /sys rw,relatime shared:3 - sysfs {source} rw\nbroken"
            )
        };
        for (source, name) in
            [("red", Some("red")), ("my\\040ns", Some("my ns")), ("sysfs", None), ("none", None)]
        {
            assert_eq!(exec_name(text(source).as_bytes()).as_deref(), name, "{source}");
        }
        assert_eq!(exec_name(b""), None);
    }

    #[test]
    fn uuid_of_an_engine_is_not_a_given_name() {
        for (file, by_engine) in [
            ("red", false),
            ("netns-1", false),
            ("netns-2d1c9b1e-8f0e-4d2b-9d55-9f1b0b1d6a77", true),
            ("cni-2d1c9b1e-8f0e-4d2b-9d55-9f1b0b1d6a77", true),
        ] {
            assert_eq!(is_engine_id(file), by_engine, "{file}");
        }
    }
}
