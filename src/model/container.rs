//! Containers: what a control group's path says of one, and what its engine adds.

use super::{Addr, Endpoint, Proto};
use serde::{Deserialize, Serialize};

/// What runs a container, as far as the path of its control group tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContainerEngine {
    /// Docker Engine: `docker-ID.scope`, `/docker/ID`.
    Docker,
    /// Podman, also of an ordinary user: `libpod-ID.scope`, `/libpod_parent/libpod-ID`.
    Podman,
    /// containerd: `cri-containerd-ID.scope`, `/default/ID`.
    Containerd,
    /// CRI-O: `crio-ID.scope`.
    Crio,
    /// LXC, LXD and Incus: `/lxc.payload.NAME`, `/lxc/NAME`.
    Lxc,
    /// systemd-nspawn and other machines of systemd-machined: `machine-NAME.scope`, `systemd-nspawn@NAME.service`.
    Machine,
    /// Flatpak: `app-flatpak-APP-NUMBER.scope`.
    Flatpak,
    /// Snap: `snap.NAME.APP.service`, `snap.NAME.APP-UUID.scope`.
    Snap,
    /// A container by its id of 64 digits; which engine runs it the path does not say.
    Unknown,
}

impl ContainerEngine {
    /// All with their names, as shown and as in JSON.
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

    /// The word for it.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// A container. Without an engine's answer only `engine`, `id` and `pod` are known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// What runs it.
    pub engine: ContainerEngine,
    /// Its whole id: 64 digits; of LXC, machines, Flatpak and Snap the name, which is their identity.
    pub id: Box<str>,
    /// Its name, where the engine told.
    #[serde(default)]
    pub name: Option<Box<str>>,
    /// The image it was made from, where the engine told.
    #[serde(default)]
    pub image: Option<Box<str>>,
    /// The pod it is part of.
    #[serde(default)]
    pub pod: Option<Pod>,
    /// Its addresses in the networks of the engine, where the engine told.
    #[serde(default)]
    pub addrs: Vec<Addr>,
    /// The ports by which it can be reached from outside, where the engine told.
    #[serde(default)]
    pub ports: Vec<Published>,
}

/// Digits of a short id, as `docker ps` shows it.
const SHORT: usize = 12;

impl Container {
    /// One of which nothing but this is known.
    pub fn new(engine: ContainerEngine, id: &str) -> Self {
        let (id, name, image, pod) = (id.into(), None, None, None);
        Self { engine, id, name, image, pod, addrs: Vec::new(), ports: Vec::new() }
    }

    /// The one that a process of this command name and command line watches for Podman, which mostly runs without a
    /// service that could be asked: `conmon -c ID -n NAME` (conmon(8)).
    pub fn from_conmon(comm: &str, cmdline: &str) -> Option<Self> {
        if comm != "conmon" {
            return None;
        }
        let after = |flag: &str| {
            let mut words = cmdline.split(' ').skip_while(|w| *w != flag).skip(1);
            words.next()
        };
        let mut out = Self::new(ContainerEngine::Podman, after("-c")?);
        out.name = after("-n").map(Into::into);
        Some(out)
    }

    /// The first twelve digits of an id of 64; a name is whole.
    pub fn short_id(&self) -> &str {
        if is_id(&self.id) { &self.id[..SHORT] } else { &self.id }
    }

    /// What people call it: its name, else the short id.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or_else(|| self.short_id())
    }
}

/// Whether this is a container's id: 64 hexadecimal digits.
pub(super) fn is_id(s: &str) -> bool {
    s.len() == 64 && s.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A pod of Kubernetes or of Podman.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// Its id: of Kubernetes the uid with its dashes, of Podman 64 digits.
    pub uid: Box<str>,
    /// Its name, where the engine told.
    #[serde(default)]
    pub name: Option<Box<str>>,
    /// Kubernetes' quality of service: `guaranteed`, `burstable` or `besteffort`; `None` for a pod of Podman.
    #[serde(default)]
    pub qos: Option<Qos>,
}

impl Pod {
    /// What people call it: its name, else the id.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.uid)
    }
}

/// The quality of service that Kubernetes gives a pod: who is ended first when memory runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Qos {
    /// Requests equal limits.
    Guaranteed,
    /// Some requests.
    Burstable,
    /// None.
    BestEffort,
}

/// A published port: an endpoint of the host that leads to a port of the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Published {
    /// Protocol.
    pub proto: Proto,
    /// The endpoint of the host; of every address where the engine says `0.0.0.0`, `::` or nothing.
    pub host: Endpoint,
    /// The port inside.
    pub port: u16,
}

impl std::fmt::Display for Published {
    /// As `docker ps` and `podman ps` write it: `0.0.0.0:8080->80/tcp`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}->{}/{}", self.host, self.port, self.proto.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_stand_in_order() {
        for (i, (e, name)) in ContainerEngine::ALL.iter().enumerate() {
            assert_eq!((*e as usize, e.name()), (i, *name));
        }
    }

    #[test]
    fn podmans_monitor_tells_whom_it_watches() {
        let of = |line: &str| {
            let c = Container::from_conmon("conmon", line)?;
            Some((c.id.to_string(), c.name.map(String::from)))
        };
        let line = "/usr/bin/conmon --api-version 1 -c abc -u abc -r /usr/bin/crun -n web -l k8s";
        assert_eq!(of(line), Some(("abc".into(), Some("web".into()))));
        assert_eq!(of("conmon -c abc"), Some(("abc".into(), None)));
        assert_eq!(of("conmon -c"), None);
        assert_eq!(Container::from_conmon("sh", "sh -c abc -n web"), None);
    }

    #[test]
    fn called_by_the_best_that_is_known() {
        let mut c = Container::new(ContainerEngine::Docker, &"0123456789abcdef".repeat(4));
        assert_eq!((c.short_id(), c.label()), ("0123456789ab", "0123456789ab"));
        c.name = Some("web".into());
        assert_eq!(c.label(), "web");
        assert_eq!(Container::new(ContainerEngine::Lxc, "a-long-name-of-a-container").label().len(), 26);
    }
}
