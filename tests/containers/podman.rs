//! Podman of an ordinary user, with an image and files of the test's own.

use super::world::{check, rows, run, sh, sockscope, until};
use std::process::Command;

/// An ordinary user with subordinate ids, made in this world alone, whose files are below `/run`, and the image `box`.
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

    /// A command that this user runs.
    pub(crate) fn user(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", &self.uid, "--regid", &self.uid, "--clear-groups", "--inh-caps=-all", program])
            .envs([("HOME", "/run/home"), ("USER", "scope"), ("XDG_RUNTIME_DIR", "/run/user/61000")])
            .current_dir("/run/home");
        command
    }

    /// Asks `podman`.
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

/// A container of an ordinary user is named, with its namespace, though no service of Podman runs that could be asked, and
/// on a machine where an ordinary user may make no control group.
pub(crate) fn rootless(podman: &Podman) -> Result<(), String> {
    let command = ["localhost/box", "/bin/busybox", "httpd", "-f", "-p", "80"];
    let id = podman.ask(&[&["run", "-d", "--name", "site", "-p", "8081:80"], &command[..]].concat())?;
    let pid: u32 =
        podman.ask(&["inspect", "-f", "{{.State.Pid}}", "site"])?.parse().map_err(|e| format!("{e}"))?;
    let ask = ["list", "state:listen", "lport:80", "-c", "pid,container,container_id,container_engine,netns"];
    let found = until("the listener inside", || rows(&ask).ok()?.first().cloned())?;
    check(found["pid"] == pid, || format!("{pid}: {found}"))?;
    check(found["container"] == "site" && found["container_engine"] == "podman", || found.to_string())?;
    check(found["container_id"] == id.as_str(), || format!("{id}: {found}"))?;
    let by_name = rows(&["processes", "container:site", "-c", "pid"])?;
    check(by_name.iter().any(|p| p["pid"] == pid), || format!("{by_name:?}"))?;
    // The user's own view has it too.
    let mut own = podman.user(env!("CARGO_BIN_EXE_sockscope"));
    let own = super::world::rows_of(own.args(["processes", "container:site", "-c", "pid"]))?;
    check(own.iter().any(|p| p["pid"] == pid), || format!("{own:?}"))?;
    let out =
        sockscope().args(["list", "--netns", "here", "lport:8081"]).output().map_err(|e| e.to_string())?;
    check(out.status.success(), || "rootlessport serves the published port here".to_owned())
}
