//! The plan of `sockscope serve`.

use super::args::Serve;
use super::error::UsageError;
use super::settings::value::flag_duration;
use crate::output::metrics::DEFAULT_TOP;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Address of the server unless another is named: loopback, and a port among those of exporters (9100 to 9999), where firewalls and
/// people expect them. Every number there has an owner on the list of Prometheus by now; a host that runs this one needs `--listen`.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:9771";
/// Time between two polls unless another is named: forecasts and rates need a steady history, also between scrapes.
pub const DEFAULT_EVERY: Duration = Duration::from_secs(5);
/// Shortest time between two polls.
const MIN_EVERY: Duration = Duration::from_secs(1);
/// Most groups with series of their own.
const MAX_TOP: usize = 500;

/// Address of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// TCP.
    Tcp(SocketAddr),
    /// UNIX socket.
    Unix(PathBuf),
}

/// A server of metrics, checked.
#[derive(Clone, Debug)]
pub struct ServePlan {
    /// Address; `None`: only the file, or standard output.
    pub listen: Option<Listen>,
    /// File.
    pub textfile: Option<PathBuf>,
    /// One page, then exit.
    pub once: bool,
    /// Time between two polls.
    pub every: Duration,
    /// Groups of a metric with series of their own.
    pub top: usize,
}

impl ServePlan {
    /// The plan; `interval`: that of the settings, if it is set; `is_recorded`: a recording is named.
    pub(super) fn new(s: &Serve, interval: Option<Duration>, is_recorded: bool) -> Result<Self, UsageError> {
        if is_recorded {
            return Err(UsageError(
                "serve: metrics are of this machine now, not of a recording (--from)".into(),
            ));
        }
        let every = s.every.as_deref().map(|t| flag_duration("--every", t)).transpose()?;
        let every = every.or(interval.map(|i| i.max(MIN_EVERY))).unwrap_or(DEFAULT_EVERY);
        if every < MIN_EVERY {
            return Err(UsageError(format!("--every: {every:?} is too short: expected 1s or more")));
        }
        let top = s.top.unwrap_or(DEFAULT_TOP);
        if !(1..=MAX_TOP).contains(&top) {
            return Err(UsageError(format!("--top: invalid number {top}: expected 1 to {MAX_TOP}")));
        }
        let default = (!s.once && s.textfile.is_none()).then_some(DEFAULT_LISTEN);
        let listen = s.listen.as_deref().or(default).map(address).transpose()?;
        Ok(Self { listen, textfile: s.textfile.clone(), once: s.once, every, top })
    }
}

/// Address from text: `127.0.0.1:9771`, `[::]:9771`, `unix:/path`.
fn address(text: &str) -> Result<Listen, UsageError> {
    let invalid = |why: &str| UsageError(format!("--listen: invalid address {text:?}: {why}"));
    if let Some(path) = text.strip_prefix("unix:") {
        let path = PathBuf::from(path);
        return if path.is_absolute() { Ok(Listen::Unix(path)) } else { Err(invalid("expected unix:/PATH")) };
    }
    // The way Prometheus itself and its exporters write every address.
    let all = text.strip_prefix(':').map(|port| format!("[::]:{port}"));
    let parsed = all.as_deref().unwrap_or(text).parse();
    parsed.map(Listen::Tcp).map_err(|_| invalid("expected ADDR:PORT such as 127.0.0.1:9771, or unix:/PATH"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(s: &Serve) -> Result<ServePlan, String> {
        ServePlan::new(s, None, false).map_err(|e| e.to_string())
    }

    #[test]
    fn addresses_are_checked_and_loopback_is_the_default() {
        let listen =
            |text: &str| plan(&Serve { listen: Some(text.into()), ..Serve::default() }).map(|p| p.listen);
        let tcp = |text: &str| Ok(Some(Listen::Tcp(text.parse().unwrap())));
        assert_eq!(plan(&Serve::default()).map(|p| p.listen), tcp(DEFAULT_LISTEN));
        assert_eq!(listen("0.0.0.0:9000"), tcp("0.0.0.0:9000"));
        assert_eq!(listen("[::1]:9000"), tcp("[::1]:9000"));
        assert_eq!(listen(":9000"), tcp("[::]:9000"));
        assert_eq!(listen("unix:/run/x.sock"), Ok(Some(Listen::Unix("/run/x.sock".into()))));
        for wrong in ["unix:x.sock", "localhost:9000", "127.0.0.1", "127.0.0.1:70000", ""] {
            assert!(listen(wrong).unwrap_err().starts_with("--listen: invalid address"), "{wrong}");
        }
    }

    #[test]
    fn a_file_alone_has_no_server() {
        let textfile = Some(PathBuf::from("x.prom"));
        let p = plan(&Serve { textfile: textfile.clone(), ..Serve::default() }).unwrap();
        assert_eq!((p.listen, p.every), (None, DEFAULT_EVERY));
        let both = Serve { textfile, listen: Some("127.0.0.1:1".into()), ..Serve::default() };
        assert!(plan(&both).unwrap().listen.is_some());
        assert_eq!(plan(&Serve { once: true, ..Serve::default() }).unwrap().listen, None);
        for (wrong, flag) in [
            (Serve { every: Some("100ms".into()), ..Serve::default() }, "--every"),
            (Serve { top: Some(0), ..Serve::default() }, "--top"),
        ] {
            assert!(plan(&wrong).unwrap_err().starts_with(flag));
        }
        assert!(ServePlan::new(&Serve::default(), None, true).is_err());
        let every =
            |secs| ServePlan::new(&Serve::default(), Some(Duration::from_secs(secs)), false).unwrap().every;
        assert_eq!((every(30), every(0)), (Duration::from_secs(30), MIN_EVERY));
    }
}
