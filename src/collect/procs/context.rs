//! Security contexts: of processes from `/proc/PID/attr/current`, of sockets from the extended attribute of their inode,
//! which is reached through any descriptor that refers to it (`/proc/PID/fd/N`), as `ss -Z` and `ss -z` do.

use super::{Procs, directory, fd_scan, info};
use crate::model::{FaultKind, FaultSubject, Label, Missing, Reads, Sample, text};
use rustc_hash::FxHashSet;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, getxattr, statat};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The label that `SELinux` gives to an inode (getfilecon(3)).
const SELINUX: &str = "security.selinux";
/// Most of a label that is kept, bytes; the kernel's own are one page at the most.
const LONGEST: usize = 4096;

/// Labels that occur, each kept once.
#[derive(Default)]
struct Shared(FxHashSet<Arc<str>>);

impl Shared {
    fn keep(&mut self, label: String) -> Arc<str> {
        if let Some(known) = self.0.get(label.as_str()) {
            return Arc::clone(known);
        }
        let new: Arc<str> = label.into();
        self.0.insert(Arc::clone(&new));
        new
    }
}

impl Procs {
    /// Fills in the contexts that the sample's wants ask for: of its processes, and of its sockets that they hold.
    pub(crate) fn label(&mut self, sample: &mut Sample) {
        let mut shared = Shared::default();
        if sample.wants.reads(Reads::PROC_CTX) {
            let mut all = Vec::with_capacity(sample.processes.len());
            for p in &sample.processes {
                let mut opened = None;
                let held = self.known.get(&p.info.pid).and_then(|k| k.dir.as_ref());
                let label = match directory(&self.root, p.info.pid, held, &mut opened) {
                    Some(dir) => of_process(dir, self.live, &mut self.buf),
                    None => Err(Missing::Gone),
                };
                all.push(label.map(|l| shared.keep(l)));
            }
            sample.contexts.processes = all;
        }
        if sample.wants.reads(Reads::SOCK_CTX) {
            sample.contexts.sockets = self.label_sockets(sample, SELINUX, &mut shared);
        }
        let none = |l: &Label| *l == Err(Missing::NoLabels);
        let (processes, sockets) = (&sample.contexts.processes, &sample.contexts.sockets);
        if !processes.is_empty() && processes.iter().all(none) || *sockets == Err(Missing::NoLabels) {
            let why = Missing::NoLabels.reason();
            sample.faults.add(FaultKind::Unsupported, FaultSubject::SecurityContexts, why);
        }
    }

    /// The label of every socket of the sample that a process holds, from this attribute; the reason where the first
    /// answer is that nothing is labelled here.
    fn label_sockets(
        &mut self,
        sample: &Sample,
        attribute: &str,
        shared: &mut Shared,
    ) -> Result<BTreeMap<u64, Label>, Missing> {
        let mut all = BTreeMap::new();
        for inode in sample.sockets.iter().map(|s| s.inode).filter(|i| *i != 0) {
            let begin = sample.owners.partition_point(|o| o.inode < inode);
            let owners = sample.owners[begin..].iter().take_while(|o| o.inode == inode);
            // One of them may be gone by now, or refuse.
            let mut label = None;
            for o in owners.filter(|o| o.fd().is_some()) {
                let pid = sample.processes[o.process as usize].info.pid;
                let got = of_descriptor(&self.root, pid, o.fd, inode, attribute, &mut self.bufs);
                let done = got.is_ok();
                label = Some(got);
                if done {
                    break;
                }
            }
            match label {
                Some(Err(Missing::NoLabels)) => return Err(Missing::NoLabels),
                Some(label) => {
                    all.insert(inode, label.map(|l| shared.keep(l)));
                }
                None => {}
            }
        }
        Ok(all)
    }
}

/// The labels of one process and of a socket it holds by this descriptor, read now.
pub(crate) fn now(
    pid: u32,
    socket: Option<(u32, u64)>,
) -> (Result<String, Missing>, Result<String, Missing>) {
    let root = Path::new("/proc");
    let mut opened = None;
    let process = match directory(root, pid, None, &mut opened) {
        Some(dir) => of_process(dir, true, &mut Vec::new()),
        None => Err(Missing::Gone),
    };
    let of = |(fd, inode)| of_descriptor(root, pid, fd, inode, SELINUX, &mut fd_scan::Buffers::default());
    (process, socket.map_or(Err(Missing::NotApplicable), of))
}

/// The label of the process of this directory. A captured tree (not `live`) may lack the file for any reason.
fn of_process(dir: &OwnedFd, live: bool, buf: &mut Vec<u8>) -> Result<String, Missing> {
    match info::slurp(dir, "attr/current", buf, LONGEST) {
        Ok(()) => label(buf),
        Err(Errno::NOENT | Errno::SRCH) if statat(dir, "stat", AtFlags::empty()).is_err() => {
            Err(Missing::Gone)
        }
        // A kernel without any security module has no such file.
        Err(Errno::NOENT) => Err(if live { Missing::NoLabels } else { Missing::NotReported }),
        Err(e) => Err(why(e)),
    }
}

/// The label of the socket `inode` behind a descriptor of a process.
fn of_descriptor(
    root: &Path,
    pid: u32,
    fd: u32,
    inode: u64,
    attribute: &str,
    bufs: &mut fd_scan::Buffers,
) -> Result<String, Missing> {
    let path = root.join(format!("{pid}/fd/{fd}"));
    let mut raw = [0; LONGEST];
    let read = getxattr(&path, attribute, &mut raw);
    let n = read.map_err(|e| if e == Errno::NOENT { Missing::Gone } else { why(e) })?;
    // It may be another one by now.
    let mut opened = None;
    let same =
        directory(root, pid, None, &mut opened).is_some_and(|d| fd_scan::still_holds(d, fd, inode, bufs));
    if same { label(&raw[..n]) } else { Err(Missing::Gone) }
}

/// A label without the newline or zero byte that modules put at its end.
fn label(raw: &[u8]) -> Result<String, Missing> {
    let end = raw.iter().rposition(|b| !matches!(b, 0 | b'\n')).map_or(0, |i| i + 1);
    if end == 0 { Err(Missing::NoLabels) } else { Ok(text::from_bytes(&raw[..end]).into_owned()) }
}

/// Why a label could not be read: no module that has any answers with these errors.
const fn why(e: Errno) -> Missing {
    match e {
        Errno::INVAL | Errno::OPNOTSUPP | Errno::NODATA => Missing::NoLabels,
        Errno::ACCESS | Errno::PERM => Missing::NotPermitted,
        Errno::SRCH => Missing::Gone,
        _ => Missing::NotReported,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Backend, BackendInfo, Family, Owner, Proto, Socket, SocketId, State, Wants};
    use rustix::fs::{XattrFlags, setxattr};
    use std::fs;
    use std::os::unix::fs::symlink;

    /// A process of a captured tree that holds the sockets of these inodes by descriptors from 3 on.
    fn put(root: &Path, pid: u32, current: Option<&[u8]>, sockets: &[u64]) {
        let dir = root.join(pid.to_string());
        fs::create_dir_all(dir.join("fd")).unwrap();
        let stat = format!("{pid} (p) S 1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 {pid} 1 1");
        fs::write(dir.join("stat"), stat).unwrap();
        fs::write(dir.join("status"), "Uid:\t33\t33\t33\t33\n").unwrap();
        if let Some(current) = current {
            fs::create_dir_all(dir.join("attr")).unwrap();
            fs::write(dir.join("attr/current"), current).unwrap();
        }
        for (i, inode) in sockets.iter().enumerate() {
            let target = format!("socket:[{inode}]");
            symlink(&target, dir.join(format!("fd/{}", 3 + i))).unwrap();
            fs::write(dir.join("fd").join(target), "").unwrap();
        }
    }

    fn sample(wants: Wants, inodes: &[u64]) -> Sample {
        let info = Arc::new(BackendInfo { backend: Backend::Proc, why: String::new() });
        let mut s = Sample::empty(crate::collect::stamp(), "h".into(), info, wants);
        for i in inodes {
            let id = SocketId { netns: 0, cookie: *i };
            let mut socket = Socket::new(id, Family::Inet, Proto::Tcp, State::Established);
            socket.inode = *i;
            s.sockets.push(socket);
        }
        s
    }

    #[test]
    fn processes_have_the_labels_that_their_files_tell() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), 7, Some(b"system_u:system_r:httpd_t:s0\0"), &[]);
        put(dir.path(), 8, Some(b"docker-default (enforce)\n"), &[]);
        put(dir.path(), 9, Some(b""), &[]);
        put(dir.path(), 10, None, &[]);
        put(dir.path(), 11, Some(b"evil\xff\n"), &[]);
        let mut procs = Procs::new(dir.path());
        let mut s = sample(Wants::default().with(Reads::PROC_CTX), &[]);
        procs.read(&mut s);
        let said: Vec<_> = s.contexts.processes.iter().map(|l| l.as_deref().map_err(|m| *m)).collect();
        // In the order of the pids.
        let want = [
            Ok("system_u:system_r:httpd_t:s0"),
            Ok("docker-default (enforce)"),
            Err(Missing::NoLabels),
            Err(Missing::NotReported),
            Ok("evil\\xff"),
        ];
        assert_eq!(said, want);
        assert_eq!(s.contexts.sockets, Err(Missing::NotRead), "nobody asked for those");

        let mut s = sample(Wants::default(), &[]);
        procs.read(&mut s);
        assert!(s.contexts.processes.is_empty(), "read only where it is asked for");
    }

    #[test]
    fn sockets_have_the_labels_of_their_inodes() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), 7, None, &[500, 501, 502]);
        // Only a file system that keeps such attributes can stand for a kernel that labels sockets.
        let mark = |inode: u64, label: &[u8]| {
            let file = dir.path().join(format!("7/fd/socket:[{inode}]"));
            setxattr(&file, "user.label", label, XattrFlags::empty()).unwrap();
        };
        mark(500, b"system_u:object_r:http_port_t:s0\0");
        mark(501, b"b\n");
        mark(502, b"b\0");
        let mut procs = Procs::new(dir.path());
        let wants = Wants::default().with(Reads::SOCK_CTX);
        let mut s = sample(wants, &[500, 501, 502, 999, 0]);
        procs.read(&mut s);
        let got = procs.label_sockets(&s, "user.label", &mut Shared::default()).unwrap();
        let said: Vec<_> = got.iter().map(|(i, l)| (*i, l.as_deref().unwrap())).collect();
        assert_eq!(said, [(500, "system_u:object_r:http_port_t:s0"), (501, "b"), (502, "b")]);
        // A descriptor that leads elsewhere by now does not lend its label.
        let other = of_descriptor(dir.path(), 7, 3, 501, "user.label", &mut fd_scan::Buffers::default());
        assert_eq!(other, Err(Missing::Gone));
        // Nothing is labelled by SELinux there: one answer is enough.
        assert_eq!(s.contexts.sockets, Err(Missing::NoLabels));
        assert_eq!(s.faults.iter().next().unwrap().detail, "no security module labels processes");
        assert!(s.owners.contains(&Owner { inode: 500, process: 0, fd: 3 }));
    }

    #[test]
    fn what_this_kernel_answers_is_a_reason_or_a_label() {
        let (process, socket) = now(std::process::id(), None);
        assert!(process.is_ok_and(|l| !l.is_empty()) || process_reason(std::process::id()));
        assert_eq!(socket, Err(Missing::NotApplicable));
        assert_eq!(now(u32::MAX, Some((3, 1))), (Err(Missing::Gone), Err(Missing::Gone)));
    }

    /// The file itself says that there is none.
    fn process_reason(pid: u32) -> bool {
        fs::read(format!("/proc/{pid}/attr/current")).map_or(true, |b| b.is_empty())
            && now(pid, None).0 == Err(Missing::NoLabels)
    }
}
