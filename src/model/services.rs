//! Port names (`/etc/services`) and IP protocol names (`/etc/protocols`).

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// Parsed name tables. Reading the files is up to the caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Services {
    by_port: BTreeMap<(u16, bool), Box<str>>,
    by_name: BTreeMap<Box<str>, Vec<u16>>,
    protocols: BTreeMap<u8, Box<str>>,
}

/// Common protocols of raw sockets, used without `/etc/protocols`.
const PROTOCOLS: &str = "icmp 1\nigmp 2\nipencap 4\ntcp 6\nudp 17\nipv6 41\ngre 47\nesp 50\nah 51\nipv6-icmp 58\nospf 89\n\
pim 103\nvrrp 112\nsctp 132\nudplite 136\n";

/// Well-known ports, used without `/etc/services` (small containers).
const WELL_KNOWN: &str = "ftp-data 20/tcp\nftp 21/tcp\nssh 22/tcp\ntelnet 23/tcp\nsmtp 25/tcp mail\ndomain 53/tcp dns\n\
domain 53/udp dns\nbootps 67/udp\nbootpc 68/udp dhcp\ntftp 69/udp\nhttp 80/tcp www\nhttp 80/udp\nkerberos 88/tcp\n\
pop3 110/tcp\nsunrpc 111/tcp portmapper\nntp 123/udp\nimap2 143/tcp imap\nsnmp 161/udp\nsnmp-trap 162/udp\nbgp 179/tcp\n\
ldap 389/tcp\nhttps 443/tcp\nhttps 443/udp\nsubmissions 465/tcp smtps\nsyslog 514/udp\nsubmission 587/tcp\nipp 631/tcp\n\
ldaps 636/tcp\ndomain-s 853/tcp\nrsync 873/tcp\nimaps 993/tcp\npop3s 995/tcp\nsocks 1080/tcp\nmqtt 1883/tcp\n\
nfs 2049/tcp\nmysql 3306/tcp\nms-wbt-server 3389/tcp rdp\npostgresql 5432/tcp postgres\nmdns 5353/udp\namqp 5672/tcp\n\
redis 6379/tcp\nhttp-alt 8080/tcp webcache\n";

impl Services {
    /// Empty tables (`--numeric`).
    pub fn none() -> Self {
        Self::default()
    }

    /// Built-in names.
    pub fn well_known() -> &'static Arc<Self> {
        static TABLE: OnceLock<Arc<Services>> = OnceLock::new();
        TABLE.get_or_init(|| Arc::new(Self::parse(WELL_KNOWN).with_protocols(PROTOCOLS)))
    }

    /// Parses `/etc/services`: `name port/protocol alias... # comment`. Other lines are skipped. The first name of a
    /// port is the one shown.
    pub fn parse(text: &str) -> Self {
        let mut out = Self::default();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or("");
            let mut words = line.split_ascii_whitespace();
            let (Some(name), Some(port)) = (words.next(), words.next()) else { continue };
            let Some((port, proto)) = port.split_once('/') else { continue };
            let Ok(port) = port.parse::<u16>() else { continue };
            let udp = match proto {
                "tcp" => false,
                "udp" => true,
                _ => continue,
            };
            out.by_port.entry((port, udp)).or_insert_with(|| name.into());
            for word in std::iter::once(name).chain(words) {
                let ports = out.by_name.entry(word.to_ascii_lowercase().into()).or_default();
                if !ports.contains(&port) {
                    ports.push(port);
                }
            }
        }
        out
    }

    /// Adds IP protocol names from `/etc/protocols`: `name number alias... # comment`. Other lines are skipped, the
    /// first name of a number is the one shown, and numbers it does not list keep their built-in names.
    #[must_use]
    pub fn with_protocols(mut self, text: &str) -> Self {
        self.protocols.clear();
        for line in text.lines().chain(PROTOCOLS.lines()) {
            let line = line.split('#').next().unwrap_or("");
            let mut words = line.split_ascii_whitespace();
            if let (Some(name), Some(Ok(number))) = (words.next(), words.next().map(str::parse)) {
                self.protocols.entry(number).or_insert_with(|| name.into());
            }
        }
        self
    }

    /// Name of an IP protocol number.
    pub fn protocol(&self, number: u16) -> Option<&str> {
        self.protocols.get(&u8::try_from(number).ok()?).map(AsRef::as_ref)
    }

    /// Name of a port, falling back to its name for the other transport protocol.
    pub fn name(&self, port: u16, udp: bool) -> Option<&str> {
        self.by_port.get(&(port, udp)).or_else(|| self.by_port.get(&(port, !udp))).map(AsRef::as_ref)
    }

    /// Port of this name or alias, ignoring case.
    pub fn port(&self, name: &str) -> Option<u16> {
        if name.len() > 64 {
            return None;
        }
        self.by_name.get(name.to_ascii_lowercase().as_str())?.first().copied()
    }

    /// All names and aliases in lower case, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(AsRef::as_ref)
    }

    /// All ports with their names.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &str)> {
        self.by_port.iter().map(|((p, _), n)| (*p, n.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_and_protocols_files_parse() {
        let s = Services::parse(
            "# comment\nssh\t\t22/tcp\t\t# SSH\ndomain 53/udp\nhttp 80/tcp www WWW-http\nbad\nx 99999/tcp\ny 1/ddp\nz a/tcp\n",
        );
        assert_eq!(s.name(22, false), Some("ssh"));
        assert_eq!(s.name(53, false), Some("domain"), "the other transport's name");
        assert_eq!(s.name(1, false), None);
        assert_eq!(s.port("WWW"), Some(80));
        assert_eq!(s.port("www-HTTP"), Some(80));
        assert_eq!(s.port("x"), None);
        assert_eq!(Services::none().port("ssh"), None);
        let s = s.with_protocols("# x\nip\t0\tIP\nhopopt 0\nicmp 1 ICMP # control\nbad\nbig 256\nicmp6 58\n");
        assert_eq!(
            [0, 1, 58, 89, 256].map(|n| s.protocol(n)),
            [Some("ip"), Some("icmp"), Some("icmp6"), Some("ospf"), None]
        );
        assert_eq!(Services::none().protocol(1), None);
        assert_eq!(Services::well_known().port("ssh"), Some(22));
    }
}
