//! Rootless Podman with a private image and private files.

use super::world::{Program, check, rows, rows_of, run, sh, sockscope};
use crate::wait::{until, until_ok};
use std::process::Command;

/// A non-root user with subordinate ids, created for the case, with files below `/run` and the image `box`.
pub(crate) struct Podman {
    uid: String,
}

impl Podman {
    pub(crate) fn start() -> Result<Self, String> {
        let this = Self { uid: "61000".to_owned() };
        sh("mkdir -p /run/user/61000 /run/home /run/etc /run/box/bin /run/box/tmp /run/containers
            chown 61000:61000 /run/user/61000 /run/home
            cp /etc/passwd /etc/group /run/etc/
            echo 'scope:x:61000:61000::/run/home:/bin/sh' >> /run/etc/passwd
            echo 'scope:x:61000:' >> /run/etc/group
            echo 'scope:200000:65536' | tee /run/etc/subuid > /run/etc/subgid
            touch /etc/subuid /etc/subgid
            for file in passwd group subuid subgid; do mount --bind /run/etc/$file /etc/$file || exit 1; done
            mkdir -p /dev/net && touch /dev/net/tun
            mknod -m 666 /run/tun c 10 200 && mount --bind /run/tun /dev/net/tun
            cp \"$(command -v busybox)\" /run/box/bin/busybox && tar -C /run/box -cf /run/box.tar .
            chmod 644 /run/box.tar")?;
        this.ask(&["import", "/run/box.tar", "box"])?;
        Ok(this)
    }

    /// A command run as this user.
    pub(crate) fn user(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", &self.uid, "--regid", &self.uid, "--clear-groups", "--inh-caps=-all", program])
            .envs([("HOME", "/run/home"), ("USER", "scope"), ("XDG_RUNTIME_DIR", "/run/user/61000")])
            .current_dir("/run/home");
        command
    }

    /// The API service of this user, which sockscope queries; runs until dropped.
    pub(crate) fn service(&self) -> Result<Program, String> {
        let mut command = self.user("podman");
        command.args(["--cgroup-manager=cgroupfs", "--events-backend=file", "--storage-driver=vfs"]);
        let service = Program::start(command.args(["system", "service", "--time=0"]))?;
        let socket = "/run/user/61000/podman/podman.sock";
        until("podman's service", || std::os::unix::net::UnixStream::connect(socket).ok())?;
        Ok(service)
    }

    /// Runs `podman`; returns its output.
    pub(crate) fn ask(&self, args: &[&str]) -> Result<String, String> {
        let mut command = self.user("podman");
        command
            .args(["--cgroup-manager=cgroupfs", "--events-backend=file", "--storage-driver=vfs"])
            .args(args);
        Ok(run(&mut command)?.trim().to_owned())
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = self.ask(&["rm", "-af", "-t", "0"]);
        let _ = sh("umount /dev/net/tun");
    }
}

/// A rootless container and its namespace have their names although no Podman service runs, also
/// on a machine where a non-root user cannot create cgroups.
pub(crate) fn rootless_container_is_named(podman: &Podman) -> Result<(), String> {
    let command = ["localhost/box", "/bin/busybox", "httpd", "-f", "-p", "80"];
    let id = podman.ask(&[&["run", "-d", "--name", "site", "-p", "8081:80"], &command[..]].concat())?;
    let pid: u32 =
        podman.ask(&["inspect", "-f", "{{.State.Pid}}", "site"])?.parse().map_err(|e| format!("{e}"))?;
    let ask = ["list", "state:listen", "lport:80", "-c", "pid,container,container_id,container_engine,netns"];
    until_ok(|| {
        let found = rows(&ask)?.first().cloned().ok_or("no listener inside")?;
        check(found["pid"] == pid, || format!("{pid}: {found}"))?;
        // Named after the container, not after Podman's helper processes that were in it first.
        check(found["netns"] == "site", || found.to_string())?;
        check(found["container"] == "site" && found["container_engine"] == "podman", || found.to_string())?;
        check(found["container_id"] == id.as_str(), || format!("{id}: {found}"))
    })?;
    let by_name = rows(&["processes", "container:site", "-c", "pid"])?;
    check(by_name.iter().any(|p| p["pid"] == pid), || format!("{by_name:?}"))?;
    // The user sees it too.
    let mut own = podman.user(env!("CARGO_BIN_EXE_sockscope"));
    let own = rows_of(own.args(["processes", "container:site", "-c", "pid"]))?;
    check(own.iter().any(|p| p["pid"] == pid), || format!("{own:?}"))?;
    let out =
        sockscope().args(["list", "--netns", "here", "lport:8081"]).output().map_err(|e| e.to_string())?;
    check(out.status.success(), || "rootlessport serves the published port here".to_owned())?;
    podman.ask(&["rm", "-f", "-t", "0", "site"]).map(|_| ())
}

/// Published port of a rootless container: proxy, target and backend, as seen by root and by the user;
/// with rootlessport and with slirp4netns alone.
pub(crate) fn rootless_published_port_has_forwarder_and_target(podman: &Podman) -> Result<(), String> {
    const COLUMNS: &str = "host,by,target,target_netns,container,process,pid,how,clients,listens";
    let _service = podman.service()?;
    let own = || podman.user(env!("CARGO_BIN_EXE_sockscope"));
    for (name, network, by) in [
        ("site", "slirp4netns", "rootlessport"),
        ("plain", "slirp4netns:port_handler=slirp4netns", "slirp4netns"),
    ] {
        let flags =
            ["run", "-d", "--name", name, "--network", network, "-p", "8081:80", "-p", "127.0.0.1:9000:90"];
        podman.ask(&[&flags[..], &["localhost/box", "/bin/busybox", "httpd", "-f", "-p", "80"]].concat())?;
        let pid = podman.ask(&["inspect", "-f", "{{.State.Pid}}", name])?;
        let pid: u32 = pid.parse().map_err(|e| format!("{pid}: {e}"))?;
        let id = podman.ask(&["inspect", "-f", "{{.Id}}", name])?;
        let ports = podman.ask(&["port", name])?;
        check(ports.lines().any(|l| l == "80/tcp -> 0.0.0.0:8081"), || ports.clone())?;
        let script = "use IO::Socket::INET; my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1:8081') or die; sleep 600";
        let _client = Program::start(Command::new("perl").args(["-e", script]))?;
        for who in ["root", "scope"] {
            until_ok(|| {
                let mut command = if who == "root" { sockscope() } else { own() };
                let all = rows_of(command.args(["forwards", "-c", COLUMNS, "host_port:8081"]))?;
                let row = all.first().filter(|_| all.len() == 1).ok_or_else(|| format!("{all:#?}"))?;
                let is = |key: &str, want: &str| {
                    let got = row[key].as_str().unwrap_or_default();
                    check(got == want, || format!("{who} by {by}: {key} is not {want}: {row}"))
                };
                check(row["clients"] == 1 && row["listens"] == true, || row.to_string())?;
                is("by", by)?;
                is("target", "10.0.2.100:80")?;
                is("target_netns", name)?;
                is("container", name)?;
                is("process", &format!("busybox {pid}"))?;
                check(row["pid"] == pid, || row.to_string())?;
                let how = row["how"].as_str().unwrap_or_default();
                check(how.contains(&format!("podman: {name} 0.0.0.0:8081->80/tcp")), || how.to_owned())
            })?;
            // Nothing listens on the target of the other.
            let mut command = if who == "root" { sockscope() } else { own() };
            let dead = rows_of(command.args(["forwards", "finding:dead"]))?;
            check(dead.len() == 1 && dead[0]["host"] == "127.0.0.1:9000", || format!("{who}: {dead:#?}"))?;
            let mut command = if who == "root" { sockscope() } else { own() };
            let inside = rows_of(command.args([
                "list",
                "state:listen",
                "lport:80",
                "-c",
                "published,container_id,netns",
            ]))?;
            check(inside.len() == 1 && inside[0]["container_id"] == id.as_str(), || format!("{inside:#?}"))?;
            check(inside[0]["published"] == "0.0.0.0:8081->80/tcp, 127.0.0.1:9000->90/tcp", || {
                inside[0].to_string()
            })?;
            check(inside[0]["netns"] == name, || inside[0].to_string())?;
        }
        // By the two sockets of rootlessport, or by the client's port, which slirp4netns preserves.
        let known = rows(&["list", "state:established", "lport:80", "-c", "client,asked_for,netns"])?;
        let client = known.iter().find(|r| r["asked_for"] == "127.0.0.1:8081");
        check(client.is_some_and(|r| r["netns"] == name), || format!("{known:#?}"))?;
        podman.ask(&["rm", "-f", "-t", "0", name])?;
        until("the forward is gone", || rows(&["forwards", "host_port:8081"]).ok().filter(Vec::is_empty))?;
    }
    Ok(())
}

/// `pasta` alone, as later versions of Podman use it: the command line has the forwarded ports.
pub(crate) fn port_forwarded_by_pasta_has_target_and_client(podman: &Podman) -> Result<(), String> {
    let outside = super::world::Outside::new()?;
    // It copies address and routes of the interface with the default route.
    sh("ip route add default via 203.0.113.5")?;
    let mut command = podman.user("pasta");
    let program = command.args(["--config-net", "-t", "8090:80", "--", "busybox", "httpd", "-f", "-p", "80"]);
    let _pasta = Program::start(program)?;
    // The process inside is pasta itself until it executes the command.
    until_ok(|| {
        let all = rows(&["forwards", "by:pasta"])?;
        let row = all.first().filter(|_| all.len() == 1).ok_or_else(|| format!("{all:#?}"))?;
        let served = row["process"].as_str().unwrap_or_default();
        let right =
            row["host"] == "0.0.0.0:8090" && row["target"] == "203.0.113.1:80" && row["listens"] == true;
        check(right && served.starts_with("busybox ") && row["target_netns"] == served, || row.to_string())
    })?;
    // Over the loopback interface it opens one socket inside for each accepted connection.
    let script =
        "use IO::Socket::INET; my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1:8090') or die; sleep 600";
    let _client = Program::start(Command::new("perl").args(["-e", script]))?;
    until("the client behind pasta", || {
        let known = rows(&["list", "state:established", "lport:80", "-c", "client,asked_for"]).ok()?;
        known.into_iter().find(|r| r["asked_for"] == "127.0.0.1:8090")
    })?;
    // From outside it opens none; the handshake inside may or may not complete.
    let _far = outside.connect("203.0.113.1", 8090, 50001)?;
    until("the client from outside", || {
        let known = rows(&["list", "lport:80", "-c", "client,asked_for"]).ok()?;
        let far = known.into_iter().find(|r| r["asked_for"] == "203.0.113.1:8090")?;
        (far["client"] == "203.0.113.5:50001").then_some(far)
    })?;
    let screen = run(sockscope()
        .args(["screenshot", "--size", "150x50", "--polls", "2", "--keys"])
        .arg("/lport:80 remote:203.0.113.5<enter>gggg<enter>"))?;
    for word in ["forwarding path", "203.0.113.1:8090", "pasta", "203.0.113.1:80", "likely"] {
        check(screen.contains(word), || format!("{word}: {screen}"))?;
    }
    Ok(())
}
