//! The plan of `sockscope ship`.

use super::args::{Encoding, RowKind, Ship};
use super::error::UsageError;
use super::settings::value::{flag_duration, flag_size};
use super::user_file;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Rows to send to a receiver, checked.
#[derive(Clone)]
pub struct ShipPlan {
    /// URL, with `{batch}` where the id of a batch belongs.
    pub url: String,
    /// The URL without user and password, for messages.
    pub shown: String,
    /// Headers of each request, by name.
    pub headers: Vec<(String, String)>,
    /// Directory of the batches that wait; `None`: the default one.
    pub spool: Option<PathBuf>,
    /// Bytes of all batches that wait.
    pub max_size: u64,
    /// Rows of a batch.
    pub rows: u64,
    /// Longest time for which rows are collected.
    pub flush: Duration,
    /// Compression.
    pub encoding: Encoding,
    /// Rows to send.
    pub kinds: Vec<RowKind>,
    /// Time after which it ends.
    pub during: Option<Duration>,
}

impl std::fmt::Debug for ShipPlan {
    /// Without the headers and the password, which are secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShipPlan")
            .field("url", &self.shown)
            .field("spool", &self.spool)
            .finish_non_exhaustive()
    }
}

/// Most bytes of the batches that wait, unless it is given: three hours of a thousand events a second.
const MAX_SIZE: u64 = 1 << 30;
/// Most rows of a batch, unless it is given.
const ROWS: u64 = 10_000;
/// Longest time for which rows are collected, unless it is given.
const FLUSH: Duration = Duration::from_secs(5);

impl ShipPlan {
    pub(super) fn new(s: &Ship) -> Result<Self, UsageError> {
        let shown = shown(&s.to)?;
        let mut headers = Vec::new();
        if let Some(file) = &s.token {
            let token = user_file::read(file).map_err(|e| file_error("--token", file, &e))?;
            let token = token.trim();
            if token.is_empty() || token.contains(|c: char| c.is_control() || c.is_whitespace()) {
                return Err(UsageError(format!("--token: {}: not one word", file.display())));
            }
            headers.push(("Authorization".to_owned(), format!("Bearer {token}")));
        }
        if let Some(file) = &s.headers {
            let text = user_file::read(file).map_err(|e| file_error("--headers", file, &e))?;
            for (n, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
                let header = header(line).ok_or_else(|| {
                    UsageError(format!("--headers: {}: line {}: expected Name: value", file.display(), n + 1))
                })?;
                headers.push(header);
            }
        }
        let rows = s.rows.unwrap_or(ROWS);
        if rows == 0 {
            return Err(UsageError("--rows: at least 1".into()));
        }
        let time =
            |flag: &str, text: &Option<String>| text.as_deref().map(|t| flag_duration(flag, t)).transpose();
        let kinds = if s.only.is_empty() { RowKind::ALL.map(|(k, _)| k).to_vec() } else { s.only.clone() };
        Ok(Self {
            url: s.to.clone(),
            shown,
            headers,
            spool: s.spool.clone(),
            max_size: s.max_size.as_deref().map_or(Ok(MAX_SIZE), |t| flag_size("--max-size", t))?,
            rows,
            flush: time("--flush", &s.flush)?.unwrap_or(FLUSH),
            encoding: s.compress,
            kinds,
            during: time("--for", &s.during)?,
        })
    }

    /// Warning if the headers or the password cross a network in clear text.
    pub fn warning(&self) -> Option<String> {
        let host = host(&self.url);
        let local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|a| a.is_loopback());
        let secret = !self.headers.is_empty() || self.shown != self.url;
        (secret && !local && self.url.starts_with("http:"))
            .then(|| format!("{}: the password or token is sent in clear text", self.shown))
    }
}

fn file_error(flag: &str, file: &std::path::Path, e: &std::io::Error) -> UsageError {
    UsageError(format!("{flag}: read {}: {e}", file.display()))
}

/// Name and value of a header line.
fn header(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    let (name, value) = (name.trim(), value.trim());
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let is_valid = !name.is_empty() && name.chars().all(is_token) && !value.contains(char::is_control);
    is_valid.then(|| (name.to_owned(), value.to_owned()))
}

/// Host and port of a URL, with user and password if it has them.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or("")
}

/// Host of a URL.
fn host(url: &str) -> &str {
    let place = authority(url);
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    match place.strip_prefix('[') {
        Some(six) => six.split(']').next().unwrap_or(""),
        None => place.split(':').next().unwrap_or(""),
    }
}

/// The URL without user and password; an error if it is none.
fn shown(url: &str) -> Result<String, UsageError> {
    let scheme = ["http://", "https://"].into_iter().find(|s| url.starts_with(s));
    let bad = url.contains(|c: char| c.is_control() || c.is_whitespace()) || host(url).is_empty();
    let Some(scheme) = scheme.filter(|_| !bad) else {
        return Err(UsageError(format!(
            "--to: {url:?} is not a URL: expected http://HOST:PORT/PATH or https://"
        )));
    };
    let place = authority(url);
    let rest = &url[scheme.len() + place.len()..];
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    Ok(format!("{scheme}{place}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(to: &str) -> Result<ShipPlan, String> {
        ShipPlan::new(&Ship { to: to.into(), ..Ship::default() }).map_err(|e| e.to_string())
    }

    #[test]
    fn urls_are_checked_and_shown_without_password() {
        for (url, text, name) in [
            ("http://ch:8123/?query=INSERT", "http://ch:8123/?query=INSERT", "ch"),
            ("https://user:secret@logs.example.com/in", "https://logs.example.com/in", "logs.example.com"),
            ("http://[::1]:9428/insert/jsonline", "http://[::1]:9428/insert/jsonline", "::1"),
        ] {
            let plan = plan(url).unwrap();
            assert_eq!((&*plan.shown, host(url)), (text, name));
            assert!(!format!("{plan:?}").contains("secret"));
        }
        for url in ["ch:8123", "ftp://a/", "http://", "http:///x", "http://a b/", "https://u@/"] {
            let e = plan(url).unwrap_err();
            assert!(e.starts_with("--to: ") && e.contains("expected http://"), "{url}: {e}");
        }
    }

    #[test]
    fn password_in_clear_text_is_a_warning() {
        for (url, warns) in [
            ("http://u:p@logs/", true),
            ("https://u:p@logs/", false),
            ("http://u:p@127.0.0.1:1/", false),
            ("http://u:p@[::1]/", false),
            ("http://logs/", false),
        ] {
            assert_eq!(plan(url).unwrap().warning().is_some(), warns, "{url}");
        }
    }

    #[test]
    fn headers_and_token_come_from_files() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            Some(path)
        };
        let ship = |token, headers| Ship { to: "http://a/".into(), token, headers, ..Ship::default() };
        let plan =
            ShipPlan::new(&ship(file("t", "abc\n"), file("h", "X-Scope-OrgID: 7\n\nX-A:b\n"))).unwrap();
        let want = [("Authorization", "Bearer abc"), ("X-Scope-OrgID", "7"), ("X-A", "b")];
        assert_eq!(plan.headers, want.map(|(n, v)| (n.to_owned(), v.to_owned())));
        for (token, headers, want) in [
            (file("t", "two words"), None, "--token"),
            (file("t", ""), None, "--token"),
            (Some(dir.path().join("none")), None, "--token: read"),
            (None, file("h", "no colon"), "line 1"),
            (None, file("g", "A: b\nbad name: c"), "line 2"),
        ] {
            let e = ShipPlan::new(&ship(token, headers)).unwrap_err().to_string();
            assert!(e.contains(want), "{e}");
        }
    }
}
