//! Small files of `/proc/PID`: names, ids and limits of a process (proc(5)).

use crate::collect::proc_file;
use crate::model::{ProcInfo, Unit, text};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;

/// Bytes of a command line that are kept.
const CMDLINE_MAX: usize = 4096;

/// Reads a small file below an open directory into `buf`, at most `max` bytes.
pub(crate) fn slurp(dir: impl AsFd, name: &str, buf: &mut Vec<u8>, max: usize) -> Result<(), Errno> {
    read_to_end(&proc_file::open_at(dir, name)?, buf, max)
}

fn read_to_end(file: &OwnedFd, buf: &mut Vec<u8>, max: usize) -> Result<(), Errno> {
    buf.clear();
    let mut chunk = [0u8; 4096];
    while buf.len() < max {
        match rustix::io::read(file, &mut chunk) {
            Ok(0) => break,
            Ok(n) => buf.extend_from_slice(&chunk[..n]),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
    }
    buf.truncate(max);
    Ok(())
}

/// Fields of `/proc/PID/stat` that are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat<'a> {
    pub(crate) comm: &'a [u8],
    /// Field 3: `R S D T t Z X I`.
    pub(crate) state: u8,
    pub(crate) ppid: u32,
    /// Field 22, clock ticks after boot.
    pub(crate) start_ticks: u64,
    /// Field 9: `PF_KTHREAD` is 0x200000.
    pub(crate) flags: u32,
}

impl Stat<'_> {
    /// Returns true if this is a kernel thread, which has no descriptors.
    pub(crate) const fn is_kernel_thread(&self) -> bool {
        self.flags & 0x0020_0000 != 0
    }
}

/// Parses `/proc/PID/stat`: `pid (comm) state ppid …`. The command name may contain spaces, parentheses and newlines, so
/// it ends at the last closing parenthesis.
pub(crate) fn stat(b: &[u8]) -> Option<Stat<'_>> {
    let open = b.iter().position(|c| *c == b'(')?;
    let close = b.iter().rposition(|c| *c == b')')?;
    let comm = b.get(open + 1..close)?;
    let rest = std::str::from_utf8(b.get(close + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let ppid = fields.next()?.parse().ok()?;
    // From field 4 to field 9, and on to field 22.
    let flags = fields.nth(4)?.parse().ok()?;
    let start_ticks = fields.nth(12)?.parse().ok()?;
    Some(Stat { comm, state, ppid, start_ticks, flags })
}

/// Length of the descriptor table from `/proc/PID/status` (`FDSize:`): every number in use is below it.
pub(crate) fn fd_table_size(status: &[u8]) -> Option<u32> {
    let line = status.split(|c| *c == b'\n').find_map(|l| l.strip_prefix(b"FDSize:"))?;
    std::str::from_utf8(line).ok()?.trim().parse().ok()
}

/// Effective uid from `/proc/PID/status`: second number of `Uid:`.
pub(crate) fn euid(status: &[u8]) -> Option<u32> {
    let line = status.split(|c| *c == b'\n').find_map(|l| l.strip_prefix(b"Uid:"))?;
    std::str::from_utf8(line).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Soft and hard limit of the line `Max open files` in `/proc/PID/limits`; `unlimited` is `u64::MAX`.
pub(crate) fn nofile(limits: &[u8]) -> Option<(u64, u64)> {
    let line = limits.split(|c| *c == b'\n').find_map(|l| l.strip_prefix(b"Max open files"))?;
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    let mut number = || match words.next()? {
        "unlimited" => Some(u64::MAX),
        n => n.parse().ok(),
    };
    Some((number()?, number()?))
}

/// Path from `/proc/PID/cgroup`: that of cgroup v2 (`0::PATH`), or else of the systemd hierarchy. If both are the root (v1 on
/// a machine without systemd), the path of a controller that is a container's.
pub(crate) fn cgroup(b: &[u8]) -> Option<&[u8]> {
    // HIERARCHY:CONTROLLERS:PATH (cgroups(7)).
    let split = |l: &'_ [u8]| {
        let first = l.iter().position(|c| *c == b':')?;
        let second = first + 1 + l.get(first + 1..)?.iter().position(|c| *c == b':')?;
        Some((first, second))
    };
    let lines = || {
        b.split(|c| *c == b'\n').filter_map(|l| split(l).map(|(i, j)| (&l[..i], &l[i + 1..j], &l[j + 1..])))
    };
    let v2 = lines().find(|(n, ..)| *n == b"0").map(|l| l.2);
    let systemd = lines().find(|(_, name, _)| *name == b"name=systemd").map(|l| l.2);
    // In hybrid mode all processes are in the root of v2.
    let path = v2.filter(|p| *p != b"/").or(systemd).or(v2);
    if path.is_some_and(|p| p != b"/") {
        return path;
    }
    let is_container = |path: &&[u8]| Unit::parse(&text::from_bytes(path)).container.is_some();
    lines().map(|l| l.2).filter(|p| *p != b"/").find(is_container).or(path)
}

/// Command line with spaces between the arguments, which end with NUL in `/proc/PID/cmdline`.
pub(crate) fn cmdline(b: &[u8]) -> Box<str> {
    let end = b.iter().rposition(|c| *c != 0).map_or(0, |i| i + 1);
    let line: Vec<u8> = b[..end].iter().map(|c| if *c == 0 { b' ' } else { *c }).collect();
    text::from_bytes(&line).into()
}

/// Reads names and ids of a process. `None` for a kernel thread.
pub(crate) fn read(dir: impl AsFd, pid: u32, hz: u64, buf: &mut Vec<u8>) -> Result<Option<ProcInfo>, Errno> {
    let dir = dir.as_fd();
    slurp(dir, "stat", buf, 4096)?;
    let s = stat(buf).ok_or(Errno::ILSEQ)?;
    if s.is_kernel_thread() {
        return Ok(None);
    }
    let mut info = ProcInfo {
        pid,
        ppid: s.ppid,
        start_ns: ticks_to_ns(s.start_ticks, hz),
        comm: text::from_bytes(s.comm).into(),
        cmdline: "".into(),
        uid: 0,
        cgroup: None,
    };
    // From here on an unreadable file leaves its field empty, but the process is kept.
    if slurp(dir, "cmdline", buf, CMDLINE_MAX).is_ok() {
        info.cmdline = cmdline(buf);
    }
    match slurp(dir, "status", buf, 1 << 16) {
        Ok(()) => info.uid = euid(buf).ok_or(Errno::ILSEQ)?,
        // A tree can be captured without it; an exited process has no file at all.
        Err(Errno::NOENT) if slurp(dir, "stat", buf, 4096).is_ok() => info.uid = ProcInfo::NO_UID,
        Err(e) => return Err(e),
    }
    if slurp(dir, "cgroup", buf, 1 << 16).is_ok() {
        info.cgroup = cgroup(buf).map(|p| text::from_bytes(p).into());
    }
    Ok(Some(info))
}

/// Converts clock ticks to nanoseconds.
pub(crate) fn ticks_to_ns(ticks: u64, hz: u64) -> u64 {
    (u128::from(ticks) * 1_000_000_000 / u128::from(hz.max(1))) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_parsed_whatever_the_command_name() {
        let line = b"812 (a) b) (\n) S 1 812 812 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1";
        let s = stat(line).unwrap();
        assert_eq!((s.comm, s.state, s.ppid, s.start_ticks), (&b"a) b) (\n"[..], b'S', 1, 4242));
        assert!(!s.is_kernel_thread());
        for cut in 0..line.len() - 3 {
            let _ = stat(&line[..cut]);
        }
        assert_eq!(stat(b""), None);
        assert_eq!(stat(b"1 )x("), None);
    }

    #[test]
    fn status_limits_cgroup_and_cmdline_are_parsed() {
        assert_eq!(euid(b"Name:\tx\nUid:\t1000\t1001\t1000\t1000\n"), Some(1001));
        assert_eq!(euid(b"Uid:\n"), None);
        let limits = b"Limit  Soft  Hard  Units\nMax open files            1024                 unlimited            files\n";
        assert_eq!(nofile(limits), Some((1024, u64::MAX)));
        assert_eq!(nofile(b"Max open files  many few"), None);
        assert_eq!(cgroup(b"0::/system.slice/nginx.service\n"), Some(&b"/system.slice/nginx.service"[..]));
        assert_eq!(cgroup(b"5:cpu:/x\n1:name=systemd:/user.slice\n0::/\n"), Some(&b"/user.slice"[..]));
        assert_eq!(cgroup(b"5:cpu:/x\n"), None);
        // v1 without systemd: a controller's path counts only if it is a container's.
        let id = "ab".repeat(32);
        let docker = format!("/docker/{id}");
        let v1 = format!("11:pids:/docker/{id}\n10:cpuset:/\n9:cpu,cpuacct:/docker/{id}\n2:memory:/x\n");
        assert_eq!(cgroup(v1.as_bytes()), Some(docker.as_bytes()));
        let hybrid = format!("11:pids:/\n9:memory:/docker/{id}\n1:name=systemd:/\n0::/\n");
        assert_eq!(cgroup(hybrid.as_bytes()), Some(docker.as_bytes()));
        let unit = format!("9:memory:/docker/{id}\n1:name=systemd:/system.slice/x.service\n0::/\n");
        assert_eq!(cgroup(unit.as_bytes()), Some(&b"/system.slice/x.service"[..]));
        assert_eq!(cgroup(b"9:memory:/jail\n1:name=systemd:/\n0::/\n"), Some(&b"/"[..]));
        assert_eq!(cgroup(b"x\n7\n1:name=systemd\n:::\n\n"), None);
        assert_eq!(&*cmdline(b"nginx: worker\0-g\0\xff\0\0"), "nginx: worker -g \\xff");
        assert_eq!(&*cmdline(b""), "");
    }
}
