//! Units, containers and the names of namespaces, against what the engines say.

use super::docker::Docker;
use super::world::{Outside, check, rows, until};

/// A container's listener and the connection of a client from outside are seen in its namespace, with its process.
pub(crate) fn seen_inside(docker: &Docker) -> Result<(), String> {
    let web = docker.run("web", &["-p", "8080:80"], "httpd -f -p 80")?;
    let outside = Outside::new()?;
    let _client = outside.connect("203.0.113.1", 8080, 50000)?;
    let row = until("the listener inside", || {
        rows(&["list", "state:listen", "lport:80"]).ok().and_then(|r| r.first().cloned())
    })?;
    check(row["pid"] == web.pid, || format!("{}: {row}", web.pid))?;
    let inside = until("the connection inside", || {
        rows(&["list", "state:established", "lport:80"]).ok().and_then(|r| r.first().cloned())
    })?;
    check(inside["local_addr"] == web.addr.as_str() && inside["netns"] == row["netns"], || {
        inside.to_string()
    })?;
    check(inside["remote_addr"] == "203.0.113.5" && inside["remote_port"] == 50000, || inside.to_string())?;
    check(web.id.starts_with(row["netns"].as_str().unwrap_or("-")), || format!("{}: {row}", web.id))
}
