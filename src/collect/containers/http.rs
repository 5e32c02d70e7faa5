//! One GET over a UNIX socket (HTTP/1.1, RFC 9112): what a container engine's local interface needs, and no more.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

/// Most that an answer may have, bytes.
const MOST: usize = 16 << 20;
/// Most headers of an answer.
const HEADERS: usize = 64;

/// The body of the answer, which must be there before `end`.
pub(crate) fn get(socket: &Path, path: &str, end: Instant) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket)?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: sockscope\r\nAccept: application/json\r\n\
         Connection: close\r\n\r\n"
    );
    stream.set_write_timeout(left(end))?;
    stream.write_all(request.as_bytes())?;
    let mut raw = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        let Some(time) = left(end) else { return Err(io::ErrorKind::TimedOut.into()) };
        stream.set_read_timeout(Some(time))?;
        let n = match stream.read(&mut chunk) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            n => n?,
        };
        raw.extend_from_slice(&chunk[..n]);
        if raw.len() > MOST {
            return Err(bad("a longer answer than is read"));
        }
        if let Some(body) = body(&raw, n == 0)? {
            return Ok(body);
        }
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn left(end: Instant) -> Option<std::time::Duration> {
    end.checked_duration_since(Instant::now()).filter(|d| !d.is_zero())
}

fn bad(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

/// The body of what came so far; `None` while more must come. `ended`: no more comes.
pub(crate) fn body(raw: &[u8], ended: bool) -> io::Result<Option<Vec<u8>>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(raw).map_err(|e| bad(format!("not HTTP: {e}")))? {
        httparse::Status::Complete(n) => n,
        httparse::Status::Partial => return Ok(None),
    };
    match response.code {
        Some(200) => {}
        code => return Err(bad(format!("it answers {}", code.unwrap_or(0)))),
    }
    let header = |name: &str| {
        let found = response.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok().map(str::trim)
    };
    let rest = &raw[head..];
    if header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
        return joined(rest);
    }
    match header("content-length").map(str::parse::<usize>) {
        Some(Ok(n)) => Ok(rest.get(..n).map(<[u8]>::to_vec)),
        Some(Err(_)) => Err(bad("its length is no number")),
        None => Ok(ended.then(|| rest.to_vec())),
    }
}

/// The chunks put together; `None` while the last is not there.
fn joined(mut rest: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut out = Vec::new();
    loop {
        let size = httparse::parse_chunk_size(rest).map_err(|_| bad("a chunk without a size"))?;
        let httparse::Status::Complete((at, size)) = size else { return Ok(None) };
        if size == 0 {
            return Ok(Some(out));
        }
        let end = usize::try_from(size)
            .ok()
            .and_then(|n| at.checked_add(n))
            .ok_or_else(|| bad("a chunk too long"))?;
        let Some(chunk) = rest.get(at..end) else { return Ok(None) };
        out.extend_from_slice(chunk);
        match rest.get(end..end + 2) {
            Some(b"\r\n") => rest = &rest[end + 2..],
            Some(_) => return Err(bad("a chunk without its end")),
            None => return Ok(None),
        }
    }
}
