//! What a network namespace is called.

use crate::model::{Container, ContainerEngine, ProcInfo, Unit, text};
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where `ip netns` mounts the namespaces it names (ip-netns(8)), and Docker those of its containers.
const MOUNTED: [&str; 2] = ["/run/netns", "/run/docker/netns"];

/// Where a namespace is mounted.
#[derive(Debug)]
pub(super) struct Mounted {
    pub(super) path: PathBuf,
    /// Whether the file has a name that somebody gave: engines call theirs by numbers.
    pub(super) by_hand: bool,
}

/// The namespaces that are mounted, by inode. `dev` is the device of namespace files; a file that is not mounted over yet
/// has another.
pub(super) fn named(dev: u64) -> BTreeMap<u64, Mounted> {
    let mut out = BTreeMap::new();
    for dir in MOUNTED {
        for path in std::fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()) {
            let Ok(m) = std::fs::metadata(&path) else { continue };
            if m.dev() == dev {
                let by_hand = dir == MOUNTED[0] && !is_number(&of_file(&path));
                out.entry(m.ino()).or_insert(Mounted { path, by_hand });
            }
        }
    }
    out
}

/// Whether an engine called a file so: `netns-UUID` is Podman's, `cni-UUID` that of Kubernetes' network plugins.
fn is_number(file: &str) -> bool {
    let uuid = file.strip_prefix("netns-").or_else(|| file.strip_prefix("cni-"));
    uuid.is_some_and(|u| u.len() == 36 && u.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-'))
}

/// The name of such a file.
pub(super) fn of_file(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |n| text::from_bytes(n.as_bytes()).into_owned())
}

/// Called after its oldest process: its pod or container, else its service, else the process itself. `told` is what the
/// engines say of their containers.
pub(super) fn of_process(p: &ProcInfo, told: &[Container]) -> String {
    let unit = p.cgroup.as_deref().map(Unit::parse).unwrap_or_default();
    // Applications of these two have no network of their own.
    let own = |c: &&Container| !matches!(c.engine, ContainerEngine::Flatpak | ContainerEngine::Snap);
    if let Some(c) = unit.container.as_ref().filter(own) {
        let c = told.iter().find(|t| t.id == c.id).unwrap_or(c);
        // All containers of a pod share it.
        return c.pod.as_ref().map_or_else(|| c.label(), |pod| pod.label()).to_owned();
    }
    let service = |n: &&str| n.strip_suffix(".service").is_some() && !n.starts_with("user@");
    match unit.name.as_deref().filter(service) {
        Some(name) => name.to_owned(),
        None => format!("{} {}", p.comm, p.pid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn called_by_pod_container_service_or_process() {
        let p = |cgroup: Option<&str>| ProcInfo {
            pid: 812,
            ppid: 1,
            start_ns: 0,
            comm: "nginx".into(),
            cmdline: "".into(),
            uid: 0,
            cgroup: cgroup.map(Into::into),
        };
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
            assert_eq!(of_process(&p(cgroup), told), want, "{cgroup:?}");
        }
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
