//! Containers, from cgroup paths and from container engines.

use super::addr::{Addr, Endpoint};
use super::proto::Proto;
use serde::{Deserialize, Serialize};

/// Container engine, as identified by a cgroup path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContainerEngine {
    /// Docker Engine: `docker-ID.scope`, `/docker/ID`.
    Docker,
    /// Podman, also rootless: `libpod-ID.scope`, `/libpod_parent/libpod-ID`.
    Podman,
    /// containerd: `cri-containerd-ID.scope`, `/default/ID`.
    Containerd,
    /// CRI-O: `crio-ID.scope`.
    Crio,
    /// LXC, LXD and Incus: `/lxc.payload.NAME`, `/lxc/NAME`.
    Lxc,
    /// systemd-nspawn and other machines registered with systemd-machined: `machine-NAME.scope`,
    /// `systemd-nspawn@NAME.service`.
    Machine,
    /// Flatpak: `app-flatpak-APP-NUMBER.scope`.
    Flatpak,
    /// Snap: `snap.NAME.APP.service`, `snap.NAME.APP-UUID.scope`.
    Snap,
    /// Container with a 64-digit id whose path does not identify the engine.
    Unknown,
}

impl ContainerEngine {
    /// All with their names, on screen and in JSON.
    pub const ALL: [(Self, &'static str); 9] = [
        (Self::Docker, "docker"),
        (Self::Podman, "podman"),
        (Self::Containerd, "containerd"),
        (Self::Crio, "crio"),
        (Self::Lxc, "lxc"),
        (Self::Machine, "machine"),
        (Self::Flatpak, "flatpak"),
        (Self::Snap, "snap"),
        (Self::Unknown, "unknown"),
    ];

    /// Name in output and filters.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// Container. Only `engine`, `id` and `pod` are known unless the engine answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Engine.
    pub engine: ContainerEngine,
    /// Full id, 64 digits; the name for LXC, machines, Flatpak and Snap.
    pub id: Box<str>,
    /// Name, if reported by the engine.
    #[serde(default)]
    pub name: Option<Box<str>>,
    /// Image, if reported by the engine.
    #[serde(default)]
    pub image: Option<Box<str>>,
    /// Pod it belongs to.
    #[serde(default)]
    pub pod: Option<Pod>,
    /// Addresses in the engine's networks, if reported.
    #[serde(default)]
    pub addrs: Vec<Addr>,
    /// Published ports, if reported by the engine.
    #[serde(default)]
    pub ports: Vec<Published>,
}

/// Length of a short id, as in `docker ps`.
const SHORT_ID_LEN: usize = 12;

impl Container {
    /// Container with only engine and id known.
    pub fn new(engine: ContainerEngine, id: &str) -> Self {
        let (id, name, image, pod) = (id.into(), None, None, None);
        Self { engine, id, name, image, pod, addrs: Vec::new(), ports: Vec::new() }
    }

    /// Container that this process monitors, if it is Podman's monitor: `conmon -c ID -n NAME` (conmon(8)). Podman
    /// usually has no service to query.
    pub fn from_conmon(comm: &str, cmdline: &str) -> Option<Self> {
        if comm != "conmon" {
            return None;
        }
        let value = |flag: &str| {
            let mut words = cmdline.split(' ').skip_while(|w| *w != flag).skip(1);
            words.next()
        };
        let mut out = Self::new(ContainerEngine::Podman, value("-c")?);
        out.name = value("-n").map(Into::into);
        Some(out)
    }

    /// First twelve digits of a 64-digit id; names are not shortened.
    pub fn short_id(&self) -> &str {
        if is_id(&self.id) { &self.id[..SHORT_ID_LEN] } else { &self.id }
    }

    /// Display name: the name, else the short id.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or_else(|| self.short_id())
    }
}

/// True for a container id: 64 hexadecimal digits.
pub(super) fn is_id(s: &str) -> bool {
    s.len() == 64 && s.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Pod of Kubernetes or Podman.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// Id: the uid for Kubernetes, 64 digits for Podman.
    pub uid: Box<str>,
    /// Name, if reported by the engine.
    #[serde(default)]
    pub name: Option<Box<str>>,
    /// Kubernetes quality of service class; `None` for a Podman pod.
    #[serde(default)]
    pub qos: Option<Qos>,
}

impl Pod {
    /// Display name: the name, else the id.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.uid)
    }
}

/// Kubernetes quality of service class, which decides the order of eviction and OOM kills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Qos {
    /// Requests equal limits.
    Guaranteed,
    /// Some requests or limits set.
    Burstable,
    /// No requests or limits.
    BestEffort,
}

/// Published port: an endpoint of the host that is forwarded to a port of the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Published {
    /// Protocol.
    pub proto: Proto,
    /// Host endpoint; the address is a wildcard if the engine reports `0.0.0.0`, `::` or none.
    pub host: Endpoint,
    /// Port in the container.
    pub port: u16,
}

impl std::fmt::Display for Published {
    /// Format of `docker ps` and `podman ps`: `0.0.0.0:8080->80/tcp`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}->{}/{}", self.host, self.port, self.proto.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engine_names_follow_enum_order() {
        for (i, (e, name)) in ContainerEngine::ALL.iter().enumerate() {
            assert_eq!((*e as usize, e.name()), (i, *name));
        }
    }

    #[test]
    fn conmon_command_line_names_container() {
        let monitored = |line: &str| {
            let c = Container::from_conmon("conmon", line)?;
            Some((c.id.to_string(), c.name.map(String::from)))
        };
        let line = "/usr/bin/conmon --api-version 1 -c abc -u abc -r /usr/bin/crun -n web -l k8s";
        assert_eq!(monitored(line), Some(("abc".into(), Some("web".into()))));
        assert_eq!(monitored("conmon -c abc"), Some(("abc".into(), None)));
        assert_eq!(monitored("conmon -c"), None);
        assert_eq!(Container::from_conmon("sh", "sh -c abc -n web"), None);
    }

    #[test]
    fn label_prefers_name_over_short_id() {
        let mut c = Container::new(ContainerEngine::Docker, &"0123456789abcdef".repeat(4));
        assert_eq!((c.short_id(), c.label()), ("0123456789ab", "0123456789ab"));
        c.name = Some("web".into());
        assert_eq!(c.label(), "web");
        assert_eq!(Container::new(ContainerEngine::Lxc, "a-long-name-of-a-container").label().len(), 26);
    }
}
