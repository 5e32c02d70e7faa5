//! Names, paths, command lines and errors.

use super::Redactor;
use crate::model::Proto;
use crate::model::names::{ether_type, netlink_protocol};
use std::fmt::Write as _;

/// Files without a path (`anon_inode`), by the names that the kernel gives them.
pub(super) const ANON_INODES: [&str; 22] = [
    "anon_inode:[eventfd]",
    "anon_inode:[eventpoll]",
    "anon_inode:[timerfd]",
    "anon_inode:[signalfd]",
    "anon_inode:inotify",
    "anon_inode:[inotify]",
    "anon_inode:[io_uring]",
    "anon_inode:[pidfd]",
    "anon_inode:[fanotify]",
    "anon_inode:[userfaultfd]",
    "anon_inode:[perf_event]",
    "anon_inode:bpf-map",
    "anon_inode:bpf-prog",
    "anon_inode:bpf_link",
    "anon_inode:bpf_iter",
    "anon_inode:btf",
    "anon_inode:[fscontext]",
    "anon_inode:[mount_namespace]",
    "anon_inode:kvm-vm",
    "anon_inode:kvm-vcpu",
    "anon_inode:sync_file",
    "anon_inode:dmabuf",
];

/// Names of files, directories and sockets that every system has.
const COMMON: &[&str] = &[
    "run",
    "var",
    "tmp",
    "dev",
    "proc",
    "sys",
    "etc",
    "usr",
    "home",
    "opt",
    "srv",
    "root",
    "lib",
    "lib64",
    "bin",
    "sbin",
    "mnt",
    "media",
    "boot",
    "local",
    "share",
    "log",
    "cache",
    "spool",
    "user",
    "lock",
    "shm",
    "systemd",
    "journal",
    "socket",
    "stdout",
    "dev-log",
    "notify",
    "private",
    "resolve",
    "resolved",
    "userdb",
    "udev",
    "control",
    "dbus",
    "system_bus_socket",
    "bus",
    "docker.sock",
    "docker",
    "containerd",
    "containerd.sock",
    "crio",
    "podman",
    "podman.sock",
    "libpod",
    "snapd.socket",
    "initctl",
    "null",
    "zero",
    "full",
    "random",
    "urandom",
    "tty",
    "console",
    "ptmx",
    "pts",
    "net",
    "tun",
    "kvm",
    "fuse",
    "fs",
    "cgroup",
    "kernel",
    "self",
    "fd",
    "task",
    "postgresql",
    "mysqld",
    "nginx",
    "redis",
    "php",
    "X11-unix",
    ".X11-unix",
];

/// Interface kinds, by the begin of their names.
const INTERFACES: &[&str] = &[
    "wlan",
    "wwan",
    "eth",
    "veth",
    "docker",
    "br",
    "virbr",
    "vnet",
    "bond",
    "team",
    "dummy",
    "tun",
    "tap",
    "wg",
    "vlan",
    "vxlan",
    "cni",
    "cali",
    "flannel",
    "cilium",
    "lxc",
    "ipvlan",
    "macvlan",
    "tailscale",
    "ppp",
    "sit",
    "gre",
    "ib",
    "en",
    "wl",
    "ww",
];

/// Protocols of packet sockets that have a name.
const ETHER_TYPES: [u16; 9] = [0, 3, 0x0800, 0x0806, 0x8100, 0x86dd, 0x888e, 0x88cc, 0x88f7];

/// Texts of reasons that sockscope writes itself.
const REASONS: &[&str] = &["requested", "captured tree"];

/// Errors of the system that are kept at the end of a reason.
const ERRORS: &[&str] = &[
    "Operation not permitted",
    "Permission denied",
    "No such file or directory",
    "No such process",
    "Operation not supported",
    "Protocol not supported",
    "Invalid argument",
    "Device or resource busy",
    "No buffer space available",
    "Function not implemented",
    "Connection refused",
    "Cannot allocate memory",
    "Too many open files",
    "Not a directory",
    "Argument list too long",
    "Resource temporarily unavailable",
    "Interrupted system call",
    "Input/output error",
];

impl Redactor {
    /// `KIND-` and eight hexadecimal digits; empty for an empty text.
    pub(super) fn word(&self, kind: &str, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        format!("{kind}-{:08x}", self.hash(kind, text.as_bytes()) as u32)
    }

    /// Name of a user: `root` stays.
    pub(super) fn user(&self, name: &str) -> Box<str> {
        if name == "root" { name.into() } else { self.word("user", name).into() }
    }

    /// Name of an interface: what it is stays where the name shows it, `veth-1f2e3d4c`. At most 15 bytes.
    pub(super) fn interface(&self, name: &str) -> String {
        if name.is_empty() || name == "lo" || name == "docker0" || name == "any" || INTERFACES.contains(&name)
        {
            return name.to_owned();
        }
        let kind = INTERFACES.iter().find(|kind| name.starts_with(**kind)).unwrap_or(&"if");
        let digits = if kind.len() > 6 { 4 } else { 8 };
        format!("{kind}-{:0digits$x}", self.hash("interface", name.as_bytes()) >> (64 - digits * 4))
    }

    /// Id of a container or pod: as many hexadecimal digits, with dashes where they are.
    pub(super) fn id(&self, id: &str) -> String {
        if id.len() < 32 || !id.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b'-' | b'_')) {
            return self.word("name", id);
        }
        // Cgroups have `_` for the `-` of a pod's uid.
        let plain: String = id.chars().filter(char::is_ascii_hexdigit).collect();
        let mut digits = String::with_capacity(id.len() + 16);
        for block in 0_u8.. {
            if digits.len() >= plain.len() {
                break;
            }
            let _ = write!(digits, "{:016x}", self.hash("id", &[plain.as_bytes(), &[block]].concat()));
        }
        let mut digits = digits.chars();
        id.chars().map(|c| if c.is_ascii_hexdigit() { digits.next().unwrap_or('0') } else { c }).collect()
    }

    /// Path, component by component, so that files of one directory still have one. Names that every system has stay.
    pub(super) fn path(&self, path: &str) -> String {
        let (path, deleted) = match path.strip_suffix(" (deleted)") {
            Some(path) => (path, " (deleted)"),
            None => (path, ""),
        };
        if !path.contains('/') {
            return self.component(path) + deleted;
        }
        let parts: Vec<String> = path.split('/').map(|part| self.component(part)).collect();
        parts.join("/") + deleted
    }

    fn component(&self, part: &str) -> String {
        // Numbers alone are pids and uids.
        let is_number = part.len() <= 7 && part.bytes().all(|b| b.is_ascii_digit());
        if part.is_empty() || is_number || matches!(part, "." | "..") || COMMON.contains(&part) {
            part.to_owned()
        } else {
            self.word("file", part)
        }
    }

    /// Name of the end of a socket without an IP address, as `ss` writes it.
    pub(super) fn end_name(&self, proto: Proto, name: &str) -> String {
        match (proto, name.strip_prefix('@')) {
            (Proto::Unix, Some(abstract_name)) => format!("@{}", self.component(abstract_name)),
            (Proto::Unix, None) => self.path(name),
            _ => name.split(':').map(|part| self.end_part(part)).collect::<Vec<_>>().join(":"),
        }
    }

    /// `rtnl`, `812`, `kernel`, `q3`, `812 group 4`, an interface.
    fn end_part(&self, part: &str) -> String {
        let is_number = |p: &str| p.len() <= 20 && p.bytes().all(|b| b.is_ascii_digit());
        let is_kept = |p: &str| {
            is_number(p)
                || matches!(p, "*" | "kernel" | "any" | "group")
                || p.strip_prefix('q').is_some_and(is_number)
                || (0..=32).any(|n| netlink_protocol(n) == p)
        };
        let is_ether_type = || {
            let number = part.strip_prefix("[0x").and_then(|p| p.strip_suffix(']'));
            ETHER_TYPES.iter().any(|n| ether_type(*n) == part)
                || number.is_some_and(|n| n.len() == 4 && n.bytes().all(|b| b.is_ascii_hexdigit()))
        };
        if part.split(' ').all(is_kept) || is_ether_type() { part.to_owned() } else { self.interface(part) }
    }

    /// File below `/proc` or of a captured tree, by the names that sockscope reads.
    pub(super) fn proc_file(&self, file: &str) -> String {
        let is_table = Proto::ALL.iter().any(|(_, name)| file.strip_suffix('6').unwrap_or(file) == *name);
        if is_table || matches!(file, "net" | "PID/fd") { file.to_owned() } else { self.path(file) }
    }

    /// Command line: the name of the program if it is the comm, and each argument replaced.
    pub(super) fn command_line(&self, comm: &str, line: &str) -> String {
        // Its arguments are addresses and ports, from which forwards are read.
        let is_proxy = comm == "docker-proxy";
        let word = |(i, word): (usize, &str)| {
            let name = word.rsplit('/').next().unwrap_or(word).trim_end_matches(':');
            // comm holds the first 15 bytes.
            if i == 0 && (name == comm || (comm.len() == 15 && name.starts_with(comm) && name.len() < 32)) {
                return comm.to_owned();
            }
            if is_proxy {
                if let Ok(ip) = word.parse::<std::net::IpAddr>() {
                    return self.addr(ip.into()).to_string();
                }
                let is_option =
                    |w: &str| w.len() < 20 && w.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
                let is_kept = (word.starts_with('-') && is_option(word)) || word.parse::<u16>().is_ok();
                if is_kept || matches!(word, "tcp" | "udp" | "sctp") {
                    return word.to_owned();
                }
            }
            self.word("arg", word)
        };
        line.split(' ').filter(|w| !w.is_empty()).enumerate().map(word).collect::<Vec<_>>().join(" ")
    }
}

/// Reason or error: the words of the system at its end stay.
pub(super) fn reason(text: &str) -> String {
    if text.is_empty() || REASONS.contains(&text) {
        return text.to_owned();
    }
    let error = ERRORS.iter().find(|e| text.ends_with(**e));
    error.map_or_else(|| "redacted".to_owned(), |e| format!("redacted: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_keeps_the_program_alone() {
        let r = Redactor::new().unwrap();
        for (comm, line, want) in [
            ("nginx", "/usr/sbin/nginx", "nginx"),
            ("nginx", "nginx: x", "nginx arg-"),
            ("mysql", "/opt/acme/mysql -phunter2 acme", "mysql arg-"),
            ("postgres", "postgres: alice shop 10.0.0.9(5432) idle", "postgres arg-"),
            ("sh", "/home/alice/run.sh", "arg-"),
        ] {
            let got = r.command_line(comm, line);
            assert!(got.starts_with(want), "{got}");
            for secret in ["alice", "acme", "hunter2", "10.0.0.9", "shop", "/usr"] {
                assert!(!got.contains(secret), "{got}");
            }
        }
        let proxy = r.command_line("docker-proxy", "/usr/bin/docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 8080 -container-ip 172.17.0.2 -container-port 80");
        let ip = r.addr("172.17.0.2".parse().unwrap());
        let want = format!(
            "docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 8080 -container-ip {ip} -container-port 80"
        );
        assert_eq!(proxy, want);
    }

    #[test]
    fn names_that_every_system_has_stay() {
        let r = Redactor::new().unwrap();
        for same in ["/run/systemd/journal/socket", "/var/run/docker.sock", "/dev/null", "/proc/812/fd"] {
            assert_eq!(r.path(same), same);
        }
        let (a, b) = (r.path("/srv/acme/a"), r.path("/srv/acme/b"));
        assert!(a.starts_with("/srv/file-") && a[..18] == b[..18] && a != b, "{a} {b}");
        assert!(r.path("/tmp/x (deleted)").ends_with(" (deleted)"));
        for (proto, name) in [
            (Proto::Netlink, "rtnl:812"),
            (Proto::Netlink, "rtnl:kernel"),
            (Proto::Netlink, "genl:7 group 3"),
            (Proto::Vsock, "2:1024"),
            (Proto::Vsock, "*:*"),
            (Proto::Packet, "*:lo"),
        ] {
            assert_eq!(r.end_name(proto, name), name);
        }
        assert!(r.end_name(Proto::Packet, "ipv6:acme0").starts_with("ipv6:if-"));
        assert!(r.end_name(Proto::Unix, "@acme").starts_with("@file-"));
        assert_eq!(r.interface("veth1a2b").len(), 13);
        assert!(r.interface("tailscale0").len() <= 15);
        assert_eq!(reason("open /srv/acme: Permission denied"), "redacted: Permission denied");
        let id = "0123456789abcdef".repeat(4);
        assert!(r.id(&id).len() == 64 && r.id(&id) != id);
        let uid = "8f0b7a5e-1f60-4f0c-9a0e-0123456789ab";
        assert_eq!(r.id(&uid.replace('-', "_")), r.id(uid).replace('-', "_"));
    }
}
