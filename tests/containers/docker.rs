//! Private Docker Engine of a test.

use super::world::{Program, check, run, sh};
use crate::wait::until;
use std::fs;
use std::process::{Command, Stdio};

/// Socket of the engine: the default path, in the test's private `/run`, so that neither `docker` nor sockscope needs
/// configuration.
pub(crate) const SOCKET: &str = "/run/docker.sock";

/// A running `dockerd` with the image `box` (busybox alone). All its files are below `/run`, which is a tmpfs of this
/// case; it is stopped by its pid when this is dropped, with its containers.
///
/// A case gets a running engine and names its containers itself; a container is removed when the result of
/// [`Docker::run`] is dropped:
///
/// ```text
/// pub(crate) fn my_case(docker: &Docker) -> Result<(), String> {
///     let web = docker.run("web", &["-p", "8080:80"], "httpd -f -p 80")?;   // running, `web.pid` is its process
///     let outside = Outside::new()?;                                       // 203.0.113.5 behind a veth pair
///     let client = outside.connect("203.0.113.1", 8080, 50000)?;           // idle connection, until dropped
///     let address = docker.ask(&["inspect", "-f", "{{.NetworkSettings.IPAddress}}", "web"])?;
///     let rows = rows(&["forwards"])?;                                     // JSON of sockscope
///     check(rows.len() == 1, || format!("{rows:?}"))
/// }
/// ```
pub(crate) struct Docker {
    daemon: Program,
    /// Value of `DOCKER_HOST` for this engine.
    pub(crate) host: String,
}

/// A container, removed when it is dropped.
pub(crate) struct Container<'a> {
    docker: &'a Docker,
    pub(crate) name: String,
    /// Full id.
    pub(crate) id: String,
    /// First process, in the pid namespace of the test.
    pub(crate) pid: u32,
    /// IPv4 address in the engine's network.
    pub(crate) addr: String,
}

impl Docker {
    /// Starts the engine with these additional flags. `vfs` is slow with large images and works everywhere.
    pub(crate) fn start(flags: &[&str]) -> Result<Self, String> {
        // Not the configuration of the machine.
        fs::write("/run/docker.json", "{}").map_err(|e| e.to_string())?;
        let log = fs::File::create("/run/dockerd.log").map_err(|e| e.to_string())?;
        let daemon = Command::new("dockerd")
            .args([
                "--data-root",
                "/run/docker-data",
                "--exec-root",
                "/run/docker",
                "--pidfile",
                "/run/docker.pid",
                "--config-file",
                "/run/docker.json",
            ])
            .args(["--host", &format!("unix://{SOCKET}"), "--storage-driver", "vfs"])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|e| format!("dockerd: {e}"))?;
        let mut docker = Self { daemon: Program(daemon), host: format!("unix://{SOCKET}") };
        let up = until("dockerd", || {
            let ended = docker.daemon.0.try_wait().ok().flatten().is_some();
            (ended || docker.ask(&["version"]).is_ok()).then_some(!ended)
        });
        if up != Ok(true) {
            let log = fs::read_to_string("/run/dockerd.log").unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(15).collect();
            return Err(format!(
                "dockerd did not start\n{}",
                tail.into_iter().rev().collect::<Vec<_>>().join("\n")
            ));
        }
        sh("mkdir -p /run/box/bin /run/box/tmp && cp \"$(command -v busybox)\" /run/box/bin/busybox
            for name in sh nc sleep httpd; do ln -sf busybox /run/box/bin/$name; done
            tar -C /run/box -c . | docker import - box")?;
        Ok(docker)
    }

    /// Runs `docker`; returns its output.
    pub(crate) fn ask(&self, args: &[&str]) -> Result<String, String> {
        Ok(run(Command::new("docker").env("DOCKER_HOST", &self.host).args(args))?.trim().to_owned())
    }

    /// Runs a container of the image `box` with these flags and a busybox command (`httpd -f -p 80`).
    pub(crate) fn run(&self, name: &str, flags: &[&str], command: &str) -> Result<Container<'_>, String> {
        let words: Vec<&str> = command.split_whitespace().collect();
        let args = [&["run", "-d", "--name", name], flags, &["box", "/bin/busybox"], &words[..]].concat();
        let id = self.ask(&args)?;
        let inspect = |what: &str| self.ask(&["inspect", "-f", what, name]);
        let pid = inspect("{{.State.Pid}}")?;
        let pid = pid.parse().map_err(|_| format!("{name}: pid {pid}"))?;
        check(pid != 0, || format!("{name} has ended: {:?}", self.ask(&["logs", name])))?;
        let addr = inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")?;
        Ok(Container { docker: self, name: name.to_owned(), id, pid, addr })
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.daemon.0);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = until("dockerd to end", || self.daemon.0.try_wait().ok().flatten());
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let _ = self.docker.ask(&["rm", "-f", &self.name]);
    }
}
