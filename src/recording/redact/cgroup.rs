//! Cgroup paths: the structure from which units, engines and containers are read stays, names and ids are replaced.

use super::Redactor;

/// Components that every system has.
const COMMON: &[&str] = &[
    "system.slice",
    "user.slice",
    "machine.slice",
    "init.scope",
    "app.slice",
    "session.slice",
    "background.slice",
    "kubepods.slice",
    "kubepods-burstable.slice",
    "kubepods-besteffort.slice",
    "kubepods",
    "burstable",
    "besteffort",
    "docker",
    "libpod",
    "libpod_parent",
    "lxc",
    "machine",
    "default",
    "k8s.io",
    "moby",
    "buildkit",
    "..",
    ".",
    "systemd-journald.service",
    "systemd-udevd.service",
    "systemd-logind.service",
    "systemd-networkd.service",
    "systemd-resolved.service",
    "systemd-timesyncd.service",
    "dbus.service",
    "dbus.socket",
    "ssh.service",
    "sshd.service",
    "cron.service",
    "docker.service",
    "containerd.service",
    "podman.service",
    "crio.service",
    "kubelet.service",
    "k3s.service",
    "container",
    "init",
    "supervisor",
    "payload",
    "dev-hugepages.mount",
];

/// Kinds of units.
const SUFFIXES: [&str; 8] =
    [".service", ".scope", ".slice", ".socket", ".mount", ".swap", ".timer", ".nspawn"];

/// Begins after which a name or an id follows.
const PREFIXES: &[&str] = &[
    "docker-",
    "libpod-conmon-",
    "libpod-payload-",
    "libpod-",
    "cri-containerd-",
    "nerdctl-",
    "containerd-",
    "crio-conmon-",
    "crio-",
    "kubepods-burstable-pod",
    "kubepods-besteffort-pod",
    "kubepods-pod",
    "machine-libpod_pod_",
    "libpod_pod_",
    "lxc.payload.",
    "lxc.monitor.",
    "machine-",
    "systemd-nspawn@",
    "pod",
];

impl Redactor {
    /// Cgroup path.
    pub(super) fn cgroup(&self, path: &str) -> String {
        path.split('/').map(|part| self.cgroup_part(part)).collect::<Vec<_>>().join("/")
    }

    fn cgroup_part(&self, part: &str) -> String {
        if part.is_empty() || COMMON.contains(&part) || is_user(part) {
            return part.to_owned();
        }
        // `kubepods-….slice:cri-containerd:ID`
        if part.contains(':') {
            let word = |w: &str| match w {
                "cri-containerd" | "crio" | "docker" => w.to_owned(),
                w => self.cgroup_part(w),
            };
            return part.split(':').map(word).collect::<Vec<_>>().join(":");
        }
        let suffix = SUFFIXES.iter().find(|s| part.ends_with(**s) && part.len() > s.len());
        let suffix = suffix.copied().unwrap_or("");
        let stem = &part[..part.len() - suffix.len()];
        let prefix = PREFIXES.iter().find(|p| stem.starts_with(**p) && stem.len() > p.len());
        if let Some(prefix) = prefix {
            return format!("{prefix}{}{suffix}", self.id(&stem[prefix.len()..]));
        }
        let is_id = stem.len() >= 32 && stem.bytes().all(|b| b.is_ascii_hexdigit());
        if is_id { self.id(stem) + suffix } else { self.word("unit", stem) + suffix }
    }
}

/// `user-1000.slice`, `user@1000.service`, `session-3.scope`, `session-c1.scope`: numbers alone.
fn is_user(part: &str) -> bool {
    let between = |before: &str, after: &str| part.strip_prefix(before)?.strip_suffix(after);
    let number = between("user-", ".slice")
        .or_else(|| between("user@", ".service"))
        .or_else(|| between("user-runtime-dir@", ".service"))
        .or_else(|| between("session-", ".scope").map(|n| n.trim_start_matches('c')));
    number.is_some_and(|n| !n.is_empty() && n.len() <= 10 && n.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Unit;

    #[test]
    fn container_is_recognised_in_a_redacted_path() {
        let r = Redactor::new().unwrap();
        let id = "4a".repeat(32);
        let uid = "8f0b7a5e_1f60_4f0c_9a0e_0123456789ab";
        for path in [
            format!("/system.slice/docker-{id}.scope"),
            format!("/docker/{id}"),
            format!("/machine.slice/libpod-{id}.scope/container"),
            format!(
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{uid}.slice/cri-containerd-{id}.scope"
            ),
            format!(
                "/system.slice/containerd.service/kubepods-besteffort-pod{uid}.slice:cri-containerd:{id}"
            ),
        ] {
            let (old, new) = (Unit::parse(&path), Unit::parse(&r.cgroup(&path)));
            let (old, new) = (old.container.unwrap(), new.container.unwrap_or_else(|| panic!("{path}")));
            assert_eq!(new.engine, old.engine);
            assert_eq!(*new.id, *r.id(&old.id));
            assert_eq!(new.pod.map(|p| p.uid.to_string()), old.pod.map(|p| r.id(&p.uid)));
        }
        assert_eq!(
            r.cgroup("/user.slice/user-1000.slice/session-3.scope"),
            "/user.slice/user-1000.slice/session-3.scope"
        );
        let unit = r.cgroup("/system.slice/acme-shop.service");
        assert!(unit.starts_with("/system.slice/unit-") && unit.ends_with(".service"), "{unit}");
        assert!(!r.cgroup("/user.slice/user-alice.slice").contains("alice"));
    }
}
