//! Response to `GET /containers/json` of Docker Engine and, in the same format, Podman.

use crate::model::{Addr, Container, ContainerEngine, Endpoint, Pod, Proto, Published};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;

/// Characters of a name that are kept.
const NAME_MAX: usize = 256;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerJson {
    id: String,
    #[serde(default)]
    names: Option<Vec<String>>,
    #[serde(default)]
    image: Option<String>,
    #[serde(default)]
    ports: Option<Vec<serde_json::Value>>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    network_settings: Option<NetworkSettings>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PortJson {
    #[serde(default, rename = "IP")]
    ip: String,
    #[serde(default)]
    private_port: u16,
    #[serde(default)]
    public_port: u16,
    #[serde(default)]
    r#type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
    #[serde(default)]
    networks: Option<BTreeMap<String, serde_json::Value>>,
}

#[derive(Deserialize)]
struct Network {
    #[serde(default, rename = "IPAddress")]
    v4: String,
    #[serde(default, rename = "GlobalIPv6Address")]
    v6: String,
}

/// Fields of Podman's own API.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PodmanJson {
    id: String,
    #[serde(default)]
    pod: String,
    #[serde(default)]
    pod_name: String,
}

/// Parses the running containers, and counts the entries that are not understood.
pub(crate) fn containers(body: &[u8], engine: ContainerEngine) -> io::Result<(Vec<Container>, usize)> {
    let all: Vec<serde_json::Value> = serde_json::from_slice(body)?;
    let count = all.len();
    let known = all.into_iter().filter_map(|c| serde_json::from_value::<ContainerJson>(c).ok());
    let known: Vec<Container> = known.map(|c| container(c, engine)).collect();
    let odd = count - known.len();
    if known.is_empty() && odd > 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "containers not understood"));
    }
    Ok((known, odd))
}

fn container(c: ContainerJson, engine: ContainerEngine) -> Container {
    let mut out = Container::new(engine, &c.id);
    // A link gives the container a further name, `/other/alias`, which can come first.
    let names = c.names.unwrap_or_default();
    let names = || names.iter().map(|n| n.strip_prefix('/').unwrap_or(n));
    out.name = names().find(|n| !n.contains('/')).or_else(|| names().next()).and_then(truncated);
    out.image = c.image.as_deref().and_then(truncated);
    let networks = c.network_settings.and_then(|s| s.networks).unwrap_or_default();
    let networks: Vec<Network> =
        networks.into_values().filter_map(|n| serde_json::from_value(n).ok()).collect();
    let addrs = networks.iter().flat_map(|n| [&n.v4, &n.v6]);
    out.addrs = addrs.filter_map(|a| a.parse::<Addr>().ok()).collect();
    let ports = c.ports.unwrap_or_default().into_iter().filter_map(|p| serde_json::from_value(p).ok());
    out.ports = ports.filter_map(|p: PortJson| published(&p)).collect();
    out.ports.sort_unstable();
    out.ports.dedup();
    let label = |name: &str| c.labels.as_ref()?.get(name).and_then(|v| truncated(v));
    if let Some(uid) = label("io.kubernetes.pod.uid") {
        out.pod = Some(Pod { uid, name: label("io.kubernetes.pod.name"), qos: None });
    }
    out
}

fn published(p: &PortJson) -> Option<Published> {
    let proto = match p.r#type.as_str() {
        "tcp" => Proto::Tcp,
        "udp" => Proto::Udp,
        "sctp" => Proto::Sctp,
        _ => return None,
    };
    // Exposed only.
    if p.public_port == 0 {
        return None;
    }
    let addr = if p.ip.is_empty() { Addr::ANY4 } else { p.ip.parse().ok()? };
    Some(Published { proto, host: Endpoint::new(addr, p.public_port), port: p.private_port })
}

/// Adds the pods from the response of Podman's own API.
pub(crate) fn add_pods(body: &[u8], to: &mut [Container]) {
    let Ok(all) = serde_json::from_slice::<Vec<serde_json::Value>>(body) else { return };
    let all = all.into_iter().filter_map(|p| serde_json::from_value::<PodmanJson>(p).ok());
    for p in all.filter(|p| !p.pod.is_empty()) {
        if let Some(c) = to.iter_mut().find(|c| *c.id == *p.id) {
            c.pod = Some(Pod { uid: p.pod.into(), name: truncated(&p.pod_name), qos: None });
        }
    }
}

fn truncated(name: &str) -> Option<Box<str>> {
    (!name.is_empty()).then(|| name.chars().take(NAME_MAX).collect::<String>().into())
}
