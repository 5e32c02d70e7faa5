//! One request and its answer (RFC 9112). The connection is closed after it.

use super::published::Published;
use crate::output::metrics::Form;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Time for a request, and time for its answer.
///
/// Tests hold slow connections open, and must not depend on how busy the machine is.
pub(super) const TIMEOUT: Duration = Duration::from_secs(if cfg!(test) { 300 } else { 5 });
/// Time for the request of a connection that is refused: it delays the next one.
const REFUSAL_WAIT: Duration = Duration::from_millis(10);
/// Longest head of a request, bytes.
const HEAD_MAX: usize = 16 * 1024;
/// Most headers.
const HEADERS_MAX: usize = 64;

/// Stream with timeouts.
pub(super) trait Connection: Read + Write + Send + 'static {
    /// Sets the time within which a read, and a write, must progress.
    fn set_timeouts(&self, time: Duration) -> io::Result<()>;
}

impl Connection for TcpStream {
    fn set_timeouts(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time)).and_then(|()| self.set_write_timeout(Some(time)))
    }
}

impl Connection for UnixStream {
    fn set_timeouts(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time)).and_then(|()| self.set_write_timeout(Some(time)))
    }
}

/// Answer to a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// The page, or only its head.
    Page(Form, bool),
    /// An error: status and reason.
    Error(u16, &'static str),
}

/// Answer to the bytes received so far; `None`: the head is incomplete.
pub(super) fn reply(raw: &[u8]) -> Option<Reply> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(raw) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) if raw.len() < HEAD_MAX => return None,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Some(Reply::Error(431, "Request Header Fields Too Large"));
        }
        Err(_) => return Some(Reply::Error(400, "Bad Request")),
    }
    // A scrape can have parameters.
    let path = request.path.unwrap_or("").split('?').next();
    if path != Some("/metrics") {
        return Some(Reply::Error(404, "Not Found"));
    }
    let is_head = match request.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Some(Reply::Error(405, "Method Not Allowed")),
    };
    let accept = request.headers.iter().filter(|h| h.name.eq_ignore_ascii_case("accept"));
    let accept: Vec<_> = accept.filter_map(|h| std::str::from_utf8(h.value).ok()).collect();
    Some(Reply::Page(Form::accepted(&accept.join(",")), is_head))
}

/// Head of an answer.
fn head(status: &str, content_type: &str, length: usize, more: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n{more}Connection: close\r\n\r\n"
    )
}

/// Bytes of an error.
fn error(status: u16, reason: &str) -> Vec<u8> {
    let body = match status {
        404 => "not found: the metrics are at /metrics\n".to_owned(),
        _ => format!("{}\n", reason.to_ascii_lowercase()),
    };
    let allow = if status == 405 { "Allow: GET, HEAD\r\n" } else { "" };
    let mut out = head(&format!("{status} {reason}"), "text/plain; charset=utf-8", body.len(), allow);
    out.push_str(&body);
    out.into_bytes()
}

/// Answers a connection that is one too many. It is waited for only for [`REFUSAL_WAIT`].
pub(super) fn refuse(mut stream: impl Connection) {
    let _ = stream.set_timeouts(REFUSAL_WAIT);
    // Closing with an unread request resets the connection, and the client can lose the answer (RFC 9112, 9.6).
    let _ = stream.read(&mut [0; 2048]);
    let _ = stream.write_all(&error(503, "Service Unavailable"));
}

/// Reads the request and answers it.
pub(super) fn answer(stream: &mut impl Connection, published: &Published) {
    let Some(reply) = read(stream) else { return };
    let _ = match reply {
        Reply::Error(status, reason) => write(stream, &error(status, reason)),
        Reply::Page(form, is_head) => {
            let page = published.page();
            let text = page.form(form);
            let head = head("200 OK", form.content_type(), text.len(), "Vary: Accept\r\n");
            let body = if is_head { "" } else { text };
            write(stream, &[head.as_bytes(), body.as_bytes()].concat())
        }
    };
}

/// The answer to what is read until the deadline; `None`: the client has gone.
fn read(stream: &mut impl Connection) -> Option<Reply> {
    let deadline = Instant::now() + TIMEOUT;
    let mut raw = Vec::new();
    let mut chunk = [0; 2048];
    loop {
        let left = deadline.checked_duration_since(Instant::now()).filter(|d| !d.is_zero());
        let Some(left) = left else { return Some(Reply::Error(408, "Request Timeout")) };
        stream.set_timeouts(left).ok()?;
        match stream.read(&mut chunk) {
            Ok(0) => return None,
            Ok(n) => raw.extend_from_slice(&chunk[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => continue,
            Err(_) => return None,
        }
        if let Some(reply) = reply(&raw) {
            return Some(reply);
        }
    }
}

/// Writes until the deadline.
fn write(stream: &mut impl Connection, mut bytes: &[u8]) -> io::Result<()> {
    let deadline = Instant::now() + TIMEOUT;
    while !bytes.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_timeouts(left)?;
        match stream.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n..],
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    stream.flush()
}
