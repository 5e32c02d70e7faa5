//! First message of each direction: what the other end is, and what both can speak.

use super::ask::AskKind;
use super::message::{Kind, StreamError, message};
use crate::collect::source::host;
use crate::frame::SCHEMA;
use crate::model::text::escape;
use crate::privilege::Capabilities;
use rustix::process::geteuid;
use rustix::thread::capabilities;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Oldest protocol that this version speaks.
const OLDEST_PROTOCOL: u16 = 1;
/// Newest protocol that this version speaks: raised when a message changes its meaning, not when a kind or a key is added.
const PROTOCOL: u16 = 1;
/// Oldest schema of frames that this version reads and writes.
const OLDEST_SCHEMA: u16 = 1;
/// Longest text of a hello that is kept, characters.
const MAX_TEXT: usize = 255;

/// Hello of one end. Keys that are missing have their defaults, unknown keys are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hello {
    /// Oldest and newest protocol.
    pub protocols: (u16, u16),
    /// Oldest and newest schema of frames.
    pub schemas: (u16, u16),
    /// Version of the program.
    pub version: String,
    /// Host name (`uname(2)`).
    pub host: String,
    /// Identity of the boot (`/proc/sys/kernel/random/boot_id`), empty if unknown.
    pub boot_id: String,
    /// Effective user id.
    pub uid: u32,
    /// Permitted capabilities (`CapPrm` of `/proc/PID/status`): with them the samples have what others' processes hold.
    pub capabilities: u64,
    /// Kinds of questions that it answers beside samples ([`super::AskKind`]).
    pub asks: Vec<String>,
    /// Byte order of the kernel structures in its frames.
    pub big_endian: bool,
}

/// Data that an agent reads by each of these capabilities.
const READS: [(Capabilities, &str); 5] = [
    (Capabilities::SYS_PTRACE, "owners of sockets of other users (CAP_SYS_PTRACE)"),
    (Capabilities::BPF, "owners by bpf_iter and events by BPF (CAP_BPF), instead by /proc and sock_diag"),
    (Capabilities::NET_ADMIN, "NAT rules, tracked connections, marks (CAP_NET_ADMIN)"),
    (Capabilities::SYS_ADMIN, "other network namespaces (CAP_SYS_ADMIN)"),
    (Capabilities::NET_RAW, "DNS questions (CAP_NET_RAW)"),
];

/// Protocol and schema that both ends use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Protocol.
    pub protocol: u16,
    /// Schema of frames.
    pub schema: u16,
}

impl Hello {
    /// Hello of this program on this host.
    pub fn ours() -> Self {
        let boot_id = std::fs::read_to_string(Path::new("/proc/sys/kernel/random/boot_id"));
        Self {
            protocols: (OLDEST_PROTOCOL, PROTOCOL),
            schemas: (OLDEST_SCHEMA, SCHEMA),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: host().to_string(),
            boot_id: boot_id.map_or_else(|_| String::new(), |id| id.trim().to_owned()),
            uid: geteuid().as_raw(),
            capabilities: capabilities(None).map_or(0, |sets| sets.permitted.bits()),
            asks: Vec::new(),
            big_endian: cfg!(target_endian = "big"),
        }
    }

    /// Data that this end cannot read for lack of capabilities, in one line; `None` if it has all of them.
    pub fn unreadable(&self) -> Option<String> {
        let lacks = |c: &Capabilities| !Capabilities::from_bits_retain(self.capabilities).contains(*c);
        let missing: Vec<&str> = READS.iter().filter(|(c, _)| lacks(c)).map(|(_, text)| *text).collect();
        (!missing.is_empty())
            .then(|| format!("the agent runs as user {} and cannot read: {}", self.uid, missing.join("; ")))
    }

    /// The same of an end that answers these kinds of questions.
    #[must_use]
    pub fn answering(self, kinds: &[AskKind]) -> Self {
        Self { asks: kinds.iter().map(|k| k.name().to_owned()).collect(), ..self }
    }

    /// True if that end answers questions of this kind.
    pub fn answers(&self, kind: AskKind) -> bool {
        self.asks.iter().any(|name| name == kind.name())
    }

    /// The hello as bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StreamError> {
        let body = serde_json::to_vec(self).map_err(|e| StreamError::Malformed(e.to_string()))?;
        message(Kind::Hello, &body)
    }

    /// Hello from the body of a message. Its texts are cut and escaped: they are shown.
    pub fn parse(body: &[u8]) -> Result<Self, StreamError> {
        let mut out: Self =
            serde_json::from_slice(body).map_err(|e| StreamError::Malformed(e.to_string()))?;
        for text in [&mut out.version, &mut out.host, &mut out.boot_id] {
            *text = escape(&text.chars().take(MAX_TEXT).collect::<String>()).into_owned();
        }
        Ok(out)
    }

    /// The newest protocol and schema that both ends know. Both ends compute the same.
    pub fn agree(&self, other: &Self) -> Result<Agreed, StreamError> {
        let newest = |a: (u16, u16), b: (u16, u16)| {
            let newest = a.1.min(b.1);
            (newest >= a.0.max(b.0)).then_some(newest)
        };
        let span =
            |(low, high): (u16, u16)| if low == high { low.to_string() } else { format!("{low} to {high}") };
        let known = |version: &str| if version.is_empty() { "?".to_owned() } else { version.to_owned() };
        let protocol = newest(self.protocols, other.protocols).ok_or_else(|| StreamError::Protocol {
            version: known(&other.version),
            theirs: span(other.protocols),
            ours: span(self.protocols),
        })?;
        let schema = newest(self.schemas, other.schemas).ok_or_else(|| StreamError::Schema {
            version: known(&other.version),
            theirs: other.schemas.0,
            ours: self.schemas.1,
        })?;
        Ok(Agreed { protocol, schema })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::remote::{Inbox, Item};

    fn speaks(protocols: (u16, u16), schemas: (u16, u16)) -> Hello {
        Hello { protocols, schemas, version: "9.9.9".into(), ..Hello::default() }
    }

    #[test]
    fn newest_protocol_of_both_is_used() {
        let ours = speaks((1, 3), (1, 2));
        for (protocols, schemas, want) in [
            ((1, 3), (1, 2), Some((3, 2))),
            ((2, 2), (1, 1), Some((2, 1))),
            ((1, 9), (2, 7), Some((3, 2))),
            ((4, 9), (1, 2), None),
            ((0, 0), (1, 2), None),
            ((1, 1), (3, 4), None),
            // An end that contradicts itself.
            ((3, 1), (1, 2), None),
        ] {
            let other = speaks(protocols, schemas);
            let agreed = ours.agree(&other);
            assert_eq!(
                agreed.clone().ok().map(|a| (a.protocol, a.schema)),
                want,
                "{protocols:?} {schemas:?}"
            );
            assert_eq!(other.agree(&ours).ok(), agreed.ok(), "both compute the same");
        }
        let e = ours.agree(&speaks((4, 9), (1, 2))).unwrap_err().to_string();
        assert_eq!(
            e,
            "sockscope 9.9.9 there speaks protocol 4 to 9, this one 1 to 3: install the same version"
        );
    }

    #[test]
    fn capabilities_that_an_agent_lacks_are_named_with_what_they_read() {
        let user = Hello { uid: 1000, ..Hello::default() };
        let line = user.unreadable().unwrap();
        assert!(line.starts_with("the agent runs as user 1000 and cannot read: owners of sockets"), "{line}");
        assert_eq!(line.matches("CAP_").count(), READS.len());
        let all = Hello { capabilities: u64::MAX, ..user.clone() };
        assert_eq!(all.unreadable(), None);
        let ptrace = Hello { capabilities: Capabilities::SYS_PTRACE.bits(), ..user };
        assert!(ptrace.unreadable().is_some_and(|l| !l.contains("CAP_SYS_PTRACE") && l.contains("CAP_BPF")));
    }

    #[test]
    fn hello_is_read_back_and_one_of_another_version_too() {
        let ours = Hello::ours();
        let mut inbox = Inbox::default();
        inbox.push(&ours.to_bytes().unwrap());
        let Some(Item::Message(Kind::Hello, body)) = inbox.take().unwrap() else { panic!("no hello") };
        assert_eq!(Hello::parse(&body).unwrap(), ours);
        assert!(ours.agree(&ours).is_ok());
        let text = r#"{"protocols":[1,2],"schemas":[1,1],"host":"a\u001b[2Jb","acts":["kill"]}"#;
        let other = Hello::parse(text.as_bytes()).unwrap();
        assert!(!other.host.contains('\x1b') && other.host.ends_with('b'), "{}", other.host);
        assert!(other.version.is_empty() && ours.agree(&other).is_ok());
        for wrong in ["", "7", "{\"protocols\":[1]}", "{\"uid\":-1}", "\u{0}"] {
            assert!(matches!(Hello::parse(wrong.as_bytes()), Err(StreamError::Malformed(_))), "{wrong}");
        }
        let long = format!(r#"{{"host":"{}"}}"#, "x".repeat(10_000));
        assert_eq!(Hello::parse(long.as_bytes()).unwrap().host.len(), MAX_TEXT);
    }
}
