//! Cgroup path parsing: systemd unit and slice, container, pod.
//!
//! Naming schemes of systemd (systemd.unit(5), systemd.slice(5)), runc and crun, the kubelet, LXC, machined, Flatpak
//! and snapd. Paths of cgroup v1 and v2 look alike.

use super::container::{Container, ContainerEngine, Pod, Qos, is_id};

const SLICE: &str = ".slice";
const SCOPE: &str = ".scope";
const SERVICE: &str = ".service";

/// Unit, slice and container of a cgroup path. Parsed once per path and shared by index ([`super::Snapshot::units`]).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Unit {
    /// Innermost systemd unit other than a slice: `nginx.service`, `session-3.scope`.
    pub name: Option<Box<str>>,
    /// Innermost slice around it: `system.slice`.
    pub slice: Option<Box<str>>,
    /// Container; for nested containers the innermost.
    pub container: Option<Container>,
}

impl Unit {
    /// Parses a path below the cgroup root.
    pub fn parse(path: &str) -> Self {
        let mut out = Self::default();
        let mut pod = None;
        let mut engine = None;
        let mut above = "";
        for part in path.split('/').filter(|p| !p.is_empty() && *p != "." && *p != "..") {
            if part.strip_suffix(SLICE).is_some() {
                out.slice = Some(part.into());
                // A slice starts another hierarchy: `system.slice` inside a container.
                out.name = None;
            } else if is_unit(part) {
                out.name = Some(part.into());
            }
            if let Some(found) = parse_pod(part, above) {
                pod = Some(found);
            }
            if let Some(c) = parse_container(part, engine) {
                out.container = Some(Container { pod: pod.clone(), ..c });
            }
            engine = engine_by_dir(part);
            above = part;
        }
        out
    }

    /// True for the root: no unit, slice or container.
    pub const fn is_empty(&self) -> bool {
        self.name.is_none() && self.slice.is_none() && self.container.is_none()
    }
}

/// True for a unit that contains processes (systemd.unit(5)).
fn is_unit(part: &str) -> bool {
    const KINDS: [&str; 5] = [SERVICE, SCOPE, ".socket", ".mount", ".swap"];
    KINDS.iter().any(|k| part.len() > k.len() && part.ends_with(k))
}

/// Engine whose cgroups are below a directory of this name.
fn engine_by_dir(part: &str) -> Option<ContainerEngine> {
    match part {
        "docker" => Some(ContainerEngine::Docker),
        "libpod_parent" | "libpod" => Some(ContainerEngine::Podman),
        "lxc" => Some(ContainerEngine::Lxc),
        "machine" => Some(ContainerEngine::Machine),
        // Namespaces of common containerd clients.
        "default" | "k8s.io" | "moby" | "buildkit" => Some(ContainerEngine::Containerd),
        _ => None,
    }
}

/// Container named by a path component. `above` is the engine named by the parent directory.
fn parse_container(part: &str, above: Option<ContainerEngine>) -> Option<Container> {
    let scope = part.strip_suffix(SCOPE);
    let word = scope.unwrap_or(part);
    if is_id(word) {
        return Some(Container::new(above.unwrap_or(ContainerEngine::Unknown), word));
    }
    // `docker-ID`, `cri-containerd-ID`; Kubernetes with the systemd cgroup driver:
    // `kubepods-….slice:cri-containerd:ID`.
    if let Some((prefix, id)) = word.rsplit_once(['-', ':']).filter(|(_, id)| is_id(id)) {
        let prefix = prefix.rsplit(':').next().unwrap_or(prefix);
        // The monitor is a process of the host.
        return (!prefix.ends_with("-conmon")).then(|| Container::new(engine_by_prefix(prefix), id));
    }
    if let Some(name) = part.strip_prefix("lxc.payload.").filter(|n| !n.is_empty()) {
        return Some(Container::new(ContainerEngine::Lxc, name));
    }
    if above == Some(ContainerEngine::Lxc) {
        return Some(Container::new(ContainerEngine::Lxc, part));
    }
    let named = |engine, name: &str| (!name.is_empty()).then(|| Container::new(engine, &unescaped(name)));
    if let Some(name) = word.strip_prefix("machine-").filter(|_| scope.is_some()) {
        return named(ContainerEngine::Machine, name);
    }
    let service = part.strip_suffix(SERVICE);
    if let Some(name) = service.and_then(|s| s.strip_prefix("systemd-nspawn@")) {
        return named(ContainerEngine::Machine, name);
    }
    if let Some(name) = part.strip_suffix(".nspawn").filter(|_| above == Some(ContainerEngine::Machine)) {
        return named(ContainerEngine::Machine, name);
    }
    if let Some(rest) = word.strip_prefix("app-flatpak-").filter(|_| scope.is_some()) {
        let name = rest.rsplit_once('-').map_or(rest, |(name, _)| name);
        return named(ContainerEngine::Flatpak, name);
    }
    if let Some(rest) = service.or(scope).and_then(|s| s.strip_prefix("snap.")) {
        let name = rest.split('.').next().unwrap_or(rest);
        return named(ContainerEngine::Snap, name);
    }
    None
}

/// Engine with this scope prefix.
fn engine_by_prefix(prefix: &str) -> ContainerEngine {
    match prefix {
        "docker" => ContainerEngine::Docker,
        // In its own service (`--cgroups=split`) it has no scope.
        "libpod" | "libpod-payload" => ContainerEngine::Podman,
        "cri-containerd" | "nerdctl" | "containerd" => ContainerEngine::Containerd,
        "crio" => ContainerEngine::Crio,
        _ => ContainerEngine::Unknown,
    }
}

/// Pod named by a path component: `kubepods-burstable-podUID.slice`, `/kubepods/burstable/podUID`, Podman's
/// `libpod_pod_ID.slice` and `user-libpod_pod_ID.slice`.
fn parse_pod(part: &str, above: &str) -> Option<Pod> {
    let word = part.split_once(SLICE).map_or(part, |(word, _)| word);
    if let Some((_, id)) = word.split_once("libpod_pod_") {
        return is_id(id).then(|| Pod { uid: id.into(), name: None, qos: None });
    }
    let (before, uid) = match word.strip_prefix("kubepods") {
        Some(rest) => rest.rsplit_once("-pod")?,
        None => (above, word.strip_prefix("pod")?),
    };
    // Unit names have `_` for the dashes of the uid.
    let uid = uid.replace('_', "-");
    let plausible = uid.len() >= 32 && uid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    let qos = match before {
        "-burstable" | "burstable" => Qos::Burstable,
        "-besteffort" | "besteffort" => Qos::BestEffort,
        _ => Qos::Guaranteed,
    };
    plausible.then(|| Pod { uid: uid.into(), name: None, qos: Some(qos) })
}

/// Name with the escapes of systemd-escape(1) undone: `\x2d` is `-`.
fn unescaped(name: &str) -> String {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.strip_prefix(b"x").and_then(|t| t.get(..2)).filter(|_| *first == b'\\');
        let code = code.and_then(|c| u8::from_str_radix(std::str::from_utf8(c).ok()?, 16).ok());
        match code {
            Some(b) => {
                out.push(b);
                rest = &tail[3..];
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    super::text::from_bytes(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const UID: &str = "2d1c9b1e-8f0e-4d2b-9d55-9f1b0b1d6a77";

    /// Path, unit, slice, engine and id or name.
    type Case = (String, Option<&'static str>, Option<&'static str>, Option<(&'static str, &'static str)>);

    fn check(cases: &[Case]) {
        for (path, name, slice, container) in cases {
            let u = Unit::parse(path);
            assert_eq!(u.name.as_deref(), *name, "unit of {path}");
            assert_eq!(u.slice.as_deref(), *slice, "slice of {path}");
            let c = u.container.as_ref().map(|c| (c.engine.name(), &*c.id));
            assert_eq!(c, *container, "container of {path}");
        }
    }

    #[test]
    fn path_names_unit_and_slice() {
        let case = |path: &str, name, slice| (path.to_owned(), name, slice, None);
        check(&[
            case("/system.slice/nginx.service", Some("nginx.service"), Some("system.slice")),
            case(
                "/system.slice/system-getty.slice/getty@tty1.service",
                Some("getty@tty1.service"),
                Some("system-getty.slice"),
            ),
            case(
                "/user.slice/user-1000.slice/session-3.scope",
                Some("session-3.scope"),
                Some("user-1000.slice"),
            ),
            case(
                "/user.slice/user-1000.slice/user@1000.service/app.slice/api.service",
                Some("api.service"),
                Some("app.slice"),
            ),
            case(
                "/user.slice/user-1000.slice/user@1000.service/init.scope",
                Some("init.scope"),
                Some("user-1000.slice"),
            ),
            case("/init.scope", Some("init.scope"), None),
            case("/system.slice/foo.service/child", Some("foo.service"), Some("system.slice")),
            case("/system.slice", None, Some("system.slice")),
            case("/", None, None),
            case("", None, None),
            case("/../../init.scope", Some("init.scope"), None),
            case("/.service/.scope/x", None, None),
            case("/sys-fs-fuse-connections.mount", Some("sys-fs-fuse-connections.mount"), None),
        ]);
        assert!(Unit::parse("/").is_empty() && !Unit::parse("/a.slice").is_empty());
    }

    #[test]
    fn path_names_container_of_each_engine() {
        let case = |path: String, name, slice, engine| (path, name, slice, Some((engine, ID)));
        check(&[
            case(format!("/docker/{ID}"), None, None, "docker"),
            case(
                format!("/docker/{ID}/system.slice/x.service"),
                Some("x.service"),
                Some("system.slice"),
                "docker",
            ),
            case(format!("/docker/{}/docker/{ID}", "f".repeat(64)), None, None, "docker"),
            case(format!("/libpod_parent/libpod-{ID}"), None, None, "podman"),
            case(format!("/default/{ID}"), None, None, "containerd"),
            case(
                format!(
                    "/user.slice/user-1000.slice/user@1000.service/app.slice/web.service/libpod-payload-{ID}"
                ),
                Some("web.service"),
                Some("app.slice"),
                "podman",
            ),
            case(format!("/{ID}"), None, None, "unknown"),
            case(format!("/actions_job/{ID}"), None, None, "unknown"),
        ]);
        for (prefix, engine) in
            [("docker", "docker"), ("libpod", "podman"), ("cri-containerd", "containerd"), ("crio", "crio")]
        {
            for path in [
                format!("/system.slice/{prefix}-{ID}.scope"),
                format!("/machine.slice/{prefix}-{ID}.scope/container"),
            ] {
                let c = Unit::parse(&path).container.unwrap();
                assert_eq!((c.engine.name(), &*c.id), (engine, ID), "{path}");
            }
        }
        for path in [
            format!("/machine.slice/libpod-conmon-{ID}.scope"),
            format!("/docker/{}", &ID[..12]),
            format!("/docker/{}", "g".repeat(64)),
            "/lxc.monitor.web".to_owned(),
            "/lxc".to_owned(),
            "/docker".to_owned(),
            "/a-.scope".to_owned(),
        ] {
            assert_eq!(Unit::parse(&path).container, None, "{path}");
        }
    }

    #[test]
    fn path_names_machine_and_application() {
        let case = |path: &str, name, slice, engine, id| (path.to_owned(), name, slice, Some((engine, id)));
        check(&[
            case(
                "/lxc.payload.web/system.slice/nginx.service",
                Some("nginx.service"),
                Some("system.slice"),
                "lxc",
                "web",
            ),
            case("/lxc/web", None, None, "lxc", "web"),
            case(
                r"/machine.slice/machine-web\x2done.scope/init.scope",
                Some("init.scope"),
                Some("machine.slice"),
                "machine",
                "web-one",
            ),
            case(
                "/machine.slice/systemd-nspawn@web.service/payload",
                Some("systemd-nspawn@web.service"),
                Some("machine.slice"),
                "machine",
                "web",
            ),
            case(
                "/user.slice/user-1000.slice/user@1000.service/app.slice/app-flatpak-org.mozilla.firefox-12345.scope",
                Some("app-flatpak-org.mozilla.firefox-12345.scope"),
                Some("app.slice"),
                "flatpak",
                "org.mozilla.firefox",
            ),
            case(
                "/system.slice/snap.lxd.daemon.service",
                Some("snap.lxd.daemon.service"),
                Some("system.slice"),
                "snap",
                "lxd",
            ),
            case(
                "/user.slice/user-1000.slice/user@1000.service/app.slice/snap.firefox.firefox-2d1c9b1e-8f0e-4d2b-9d55-9f1b0b1d6a77.scope",
                Some("snap.firefox.firefox-2d1c9b1e-8f0e-4d2b-9d55-9f1b0b1d6a77.scope"),
                Some("app.slice"),
                "snap",
                "firefox",
            ),
        ]);
    }

    #[test]
    fn path_names_pod() {
        let folded = UID.replace('-', "_");
        let pod = |path: &str| {
            let c = Unit::parse(path).container.unwrap_or_else(|| panic!("{path}"));
            assert_eq!(&*c.id, ID);
            c.pod
        };
        for (path, qos) in [
            (
                format!(
                    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{folded}.slice/cri-containerd-{ID}.scope"
                ),
                Qos::Burstable,
            ),
            (format!("/kubepods.slice/kubepods-pod{folded}.slice/crio-{ID}.scope"), Qos::Guaranteed),
            (format!("/kubepods/besteffort/pod{UID}/{ID}"), Qos::BestEffort),
            (format!("/kubepods/burstable/pod{UID}/{ID}"), Qos::Burstable),
            (format!("/kubepods/pod{UID}/{ID}"), Qos::Guaranteed),
            (
                format!(
                    "/system.slice/containerd.service/kubepods-besteffort-pod{folded}.slice:cri-containerd:{ID}"
                ),
                Qos::BestEffort,
            ),
        ] {
            assert_eq!(pod(&path), Some(Pod { uid: UID.into(), name: None, qos: Some(qos) }), "{path}");
        }
        let other = "f".repeat(64);
        let podman = pod(&format!("/machine.slice/machine-libpod_pod_{other}.slice/libpod-{ID}.scope"));
        assert_eq!(podman, Some(Pod { uid: other.into(), name: None, qos: None }));
        assert_eq!(pod(&format!("/podling/{ID}")), None);
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_path_parses(path in "[/a-z.@:\\\\-]{0,80}") {
            let u = Unit::parse(&path);
            proptest::prop_assert!(u.name.is_none_or(|n| path.contains(&*n)));
        }
    }
}
