//! Minimal HTTP/1.1 GET over a Unix socket (RFC 9112), as needed for the local API of container engines.

use super::engine_socket::{EngineSocket, connect_until};
use std::io::{self, Read, Write};
use std::time::Instant;

/// Maximum size of a response, bytes.
const RESPONSE_MAX: usize = 16 << 20;
/// Maximum number of headers.
const HEADERS_MAX: usize = 64;

/// Body of the response, which must be complete before `deadline`.
pub(crate) fn get(socket: &EngineSocket, path: &str, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut stream = connect_until(socket, deadline)?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: sockscope\r\nAccept: application/json\r\n\
         Connection: close\r\n\r\n"
    );
    stream.set_write_timeout(time_left(deadline))?;
    stream.write_all(request.as_bytes())?;
    let mut raw = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        let Some(time) = time_left(deadline) else { return Err(io::ErrorKind::TimedOut.into()) };
        stream.set_read_timeout(Some(time))?;
        let n = match stream.read(&mut chunk) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            n => n?,
        };
        raw.extend_from_slice(&chunk[..n]);
        if raw.len() > RESPONSE_MAX {
            return Err(invalid("response larger than 16 MiB"));
        }
        if let Some(body) = body(&raw, n == 0)? {
            return Ok(body);
        }
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn time_left(deadline: Instant) -> Option<std::time::Duration> {
    deadline.checked_duration_since(Instant::now()).filter(|d| !d.is_zero())
}

fn invalid(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

/// Body of the bytes received so far; `None` if it is incomplete. `ended`: the connection was closed.
pub(crate) fn body(raw: &[u8], ended: bool) -> io::Result<Option<Vec<u8>>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(raw).map_err(|e| invalid(format!("not HTTP: {e}")))? {
        httparse::Status::Complete(n) => n,
        httparse::Status::Partial => return Ok(None),
    };
    match response.code {
        Some(200) => {}
        code => return Err(invalid(format!("HTTP status {}", code.unwrap_or(0)))),
    }
    let header = |name: &str| {
        let found = response.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok().map(str::trim)
    };
    let rest = &raw[head..];
    if header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
        return join_chunks(rest);
    }
    match header("content-length").map(str::parse::<usize>) {
        Some(Ok(n)) => Ok(rest.get(..n).map(<[u8]>::to_vec)),
        Some(Err(_)) => Err(invalid("invalid Content-Length")),
        None => Ok(ended.then(|| rest.to_vec())),
    }
}

/// Joined chunks of a chunked body; `None` if it is incomplete.
fn join_chunks(mut rest: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut out = Vec::new();
    loop {
        let size = httparse::parse_chunk_size(rest).map_err(|_| invalid("invalid chunk size"))?;
        let httparse::Status::Complete((at, size)) = size else { return Ok(None) };
        if size == 0 {
            return Ok(Some(out));
        }
        let end = usize::try_from(size)
            .ok()
            .and_then(|n| at.checked_add(n))
            .ok_or_else(|| invalid("invalid chunk size"))?;
        let Some(chunk) = rest.get(at..end) else { return Ok(None) };
        out.extend_from_slice(chunk);
        match rest.get(end..end + 2) {
            Some(b"\r\n") => rest = &rest[end + 2..],
            Some(_) => return Err(invalid("chunk not terminated by CRLF")),
            None => return Ok(None),
        }
    }
}
