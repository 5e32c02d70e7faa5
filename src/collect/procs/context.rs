//! Security contexts: of processes from `/proc/PID/attr/current`, of sockets from the extended attribute of their inode,
//! read through any descriptor that refers to it (`/proc/PID/fd/N`), as `ss -Z` and `ss -z` do.

use super::fd_scan::{self, Buffers};
use super::foreign_fd::with_pinned;
use super::info;
use super::proc_dir::ProcDir;
use super::table::ProcessTable;
use crate::model::{FaultKind, FaultSubject, Label, Missing, Reads, Sample, text};
use rustc_hash::FxHashSet;
use rustix::fd::AsFd;
use rustix::fs::{AtFlags, getxattr, statat};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Extended attribute with the `SELinux` label of an inode (getfilecon(3)).
const SELINUX: &str = "security.selinux";
/// Bytes of a label that are kept; the kernel's own have at most one page.
const LABEL_MAX: usize = 4096;

/// Labels, each stored once.
#[derive(Default)]
struct Interned(FxHashSet<Arc<str>>);

impl Interned {
    fn intern(&mut self, label: String) -> Arc<str> {
        if let Some(known) = self.0.get(label.as_str()) {
            return Arc::clone(known);
        }
        let new: Arc<str> = label.into();
        self.0.insert(Arc::clone(&new));
        new
    }
}

/// Reads the contexts that the sample wants: those of its processes, and those of its sockets with an owner.
pub(crate) fn fill(table: &ProcessTable, sample: &mut Sample) {
    let mut interned = Interned::default();
    if sample.wants.reads(Reads::PROC_CTX) {
        let mut buf = Vec::new();
        let mut labels = Vec::with_capacity(sample.processes.len());
        for p in &sample.processes {
            let label = match table.dir(p.info.pid) {
                Some(dir) => process_label(dir, table.is_live(), &mut buf),
                None => Err(Missing::Gone),
            };
            labels.push(label.map(|l| interned.intern(l)));
        }
        sample.contexts.processes = labels;
    }
    if sample.wants.reads(Reads::SOCK_CTX) {
        sample.contexts.sockets = socket_labels(table.root(), sample, SELINUX, &mut interned);
    }
    let is_unlabelled = |l: &Label| *l == Err(Missing::NoLabels);
    let (processes, sockets) = (&sample.contexts.processes, &sample.contexts.sockets);
    if !processes.is_empty() && processes.iter().all(is_unlabelled) || *sockets == Err(Missing::NoLabels) {
        let why = Missing::NoLabels.reason();
        sample.faults.add(FaultKind::Unsupported, FaultSubject::SecurityContexts, why);
    }
}

/// Labels of the sockets of the sample that have an owner, from this attribute; the reason if the first answer is that
/// nothing is labelled here.
fn socket_labels(
    root: &Path,
    sample: &Sample,
    attribute: &str,
    interned: &mut Interned,
) -> Result<BTreeMap<u64, Label>, Missing> {
    let mut bufs = Buffers::default();
    let mut all = BTreeMap::new();
    for inode in sample.sockets.iter().map(|s| s.inode).filter(|i| *i != 0) {
        let begin = sample.owners.partition_point(|o| o.inode < inode);
        let owners = sample.owners[begin..].iter().take_while(|o| o.inode == inode);
        // Any one of them may have exited, or not be readable.
        let mut label = None;
        for o in owners.filter(|o| o.fd().is_some()) {
            let pid = sample.processes[o.process as usize].info.pid;
            let read = fd_label(root, pid, o.fd, inode, attribute, &mut bufs);
            let done = read.is_ok();
            label = Some(read);
            if done {
                break;
            }
        }
        match label {
            Some(Err(Missing::NoLabels)) => return Err(Missing::NoLabels),
            Some(label) => {
                all.insert(inode, label.map(|l| interned.intern(l)));
            }
            None => {}
        }
    }
    Ok(all)
}

/// Labels of one live process and of the socket that one of its descriptors refers to.
pub(crate) fn read_one(
    pid: u32,
    socket: Option<(u32, u64)>,
) -> (Result<String, Missing>, Result<String, Missing>) {
    let root = Path::new("/proc");
    let process = match ProcDir::get(root, pid, None) {
        Some(dir) => process_label(dir, true, &mut Vec::new()),
        None => Err(Missing::Gone),
    };
    let label = |(fd, inode)| fd_label(root, pid, fd, inode, SELINUX, &mut Buffers::default());
    (process, socket.map_or(Err(Missing::NotApplicable), label))
}

/// Label of the process with this directory. A captured tree (not `live`) may lack the file for any reason.
fn process_label(dir: impl AsFd, live: bool, buf: &mut Vec<u8>) -> Result<String, Missing> {
    match info::slurp(&dir, "attr/current", buf, LABEL_MAX) {
        Ok(()) => label(buf),
        Err(Errno::NOENT | Errno::SRCH) if statat(&dir, "stat", AtFlags::empty()).is_err() => {
            Err(Missing::Gone)
        }
        // A kernel without any security module has no such file.
        Err(Errno::NOENT) => Err(if live { Missing::NoLabels } else { Missing::NotReported }),
        Err(e) => Err(reason(e)),
    }
}

/// Label of the socket `inode` that a descriptor refers to.
fn fd_label(
    root: &Path,
    pid: u32,
    fd: u32,
    inode: u64,
    attribute: &str,
    bufs: &mut Buffers,
) -> Result<String, Missing> {
    let path = root.join(format!("{pid}/fd/{fd}"));
    let mut raw = [0; LABEL_MAX];
    let read = if root == Path::new("/proc") {
        // The descriptor may refer to something else by now.
        let socket = format!("socket:[{inode}]");
        with_pinned(&path, |text| text == socket.as_bytes(), |own| getxattr(own, attribute, &mut raw))
    } else {
        getxattr(&path, attribute, &mut raw)
    };
    let n = read.map_err(|e| if e == Errno::NOENT { Missing::Gone } else { reason(e) })?;
    let same = ProcDir::get(root, pid, None).is_some_and(|dir| fd_scan::refers_to(dir, &[], fd, inode, bufs));
    if same { label(&raw[..n]) } else { Err(Missing::Gone) }
}

/// Label without the newline or zero byte that security modules append.
fn label(raw: &[u8]) -> Result<String, Missing> {
    let end = raw.iter().rposition(|b| !matches!(b, 0 | b'\n')).map_or(0, |i| i + 1);
    if end == 0 { Err(Missing::NoLabels) } else { Ok(text::from_bytes(&raw[..end]).into_owned()) }
}

/// Reason for an errno: security modules that have labels never return the first three.
const fn reason(e: Errno) -> Missing {
    match e {
        Errno::INVAL | Errno::OPNOTSUPP | Errno::NODATA => Missing::NoLabels,
        Errno::ACCESS | Errno::PERM => Missing::NotPermitted,
        Errno::SRCH => Missing::Gone,
        _ => Missing::NotReported,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Procs;
    use super::*;
    use crate::model::{Backend, BackendInfo, Family, Owner, Proto, Socket, SocketId, State, Wants};
    use rustix::fs::{XattrFlags, setxattr};
    use std::fs;
    use std::os::unix::fs::symlink;

    /// Adds a process to a captured tree, with descriptors from 3 on for sockets of these inodes.
    fn add_process(root: &Path, pid: u32, current: Option<&[u8]>, sockets: &[u64]) {
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
        let info = Arc::new(BackendInfo { backend: Backend::Proc, reason: String::new() });
        let mut s = Sample::empty(crate::collect::source::stamp(), "h".into(), info, wants);
        for i in inodes {
            let id = SocketId { netns: 0, cookie: *i };
            let mut socket = Socket::new(id, Family::Inet, Proto::Tcp, State::Established);
            socket.inode = *i;
            s.sockets.push(socket);
        }
        s
    }

    #[test]
    fn process_label_is_that_of_attr_current() {
        let dir = tempfile::tempdir().unwrap();
        add_process(dir.path(), 7, Some(b"system_u:system_r:httpd_t:s0\0"), &[]);
        add_process(dir.path(), 8, Some(b"docker-default (enforce)\n"), &[]);
        add_process(dir.path(), 9, Some(b""), &[]);
        add_process(dir.path(), 10, None, &[]);
        add_process(dir.path(), 11, Some(b"evil\xff\n"), &[]);
        let mut procs = Procs::new(dir.path());
        let mut s = sample(Wants::default().with(Reads::PROC_CTX), &[]);
        procs.read(&mut s);
        let labels: Vec<_> = s.contexts.processes.iter().map(|l| l.as_deref().map_err(|m| *m)).collect();
        // In the order of the pids.
        let want = [
            Ok("system_u:system_r:httpd_t:s0"),
            Ok("docker-default (enforce)"),
            Err(Missing::NoLabels),
            Err(Missing::NotReported),
            Ok("evil\\xff"),
        ];
        assert_eq!(labels, want);
        assert_eq!(s.contexts.sockets, Err(Missing::NotRead), "not wanted");

        let mut s = sample(Wants::default(), &[]);
        procs.read(&mut s);
        assert!(s.contexts.processes.is_empty(), "not wanted, not read");
    }

    #[test]
    fn socket_label_is_that_of_its_inode() {
        let dir = tempfile::tempdir().unwrap();
        add_process(dir.path(), 7, None, &[500, 501, 502]);
        // A file system with user attributes stands in for a kernel that labels sockets.
        let set_label = |inode: u64, label: &[u8]| {
            let file = dir.path().join(format!("7/fd/socket:[{inode}]"));
            setxattr(&file, "user.label", label, XattrFlags::empty()).unwrap();
        };
        set_label(500, b"system_u:object_r:http_port_t:s0\0");
        set_label(501, b"b\n");
        set_label(502, b"b\0");
        let mut procs = Procs::new(dir.path());
        let wants = Wants::default().with(Reads::SOCK_CTX);
        let mut s = sample(wants, &[500, 501, 502, 999, 0]);
        procs.read(&mut s);
        let got = socket_labels(dir.path(), &s, "user.label", &mut Interned::default()).unwrap();
        let labels: Vec<_> = got.iter().map(|(i, l)| (*i, l.as_deref().unwrap())).collect();
        assert_eq!(labels, [(500, "system_u:object_r:http_port_t:s0"), (501, "b"), (502, "b")]);
        // A descriptor that refers to another socket by now gives no label.
        let other = fd_label(dir.path(), 7, 3, 501, "user.label", &mut Buffers::default());
        assert_eq!(other, Err(Missing::Gone));
        // No SELinux labels there: the first answer is enough.
        assert_eq!(s.contexts.sockets, Err(Missing::NoLabels));
        assert_eq!(
            s.faults.iter().find(|f| f.subject == FaultSubject::SecurityContexts).unwrap().detail,
            "no security module labels processes"
        );
        assert!(s.owners.contains(&Owner { inode: 500, process: 0, fd: 3 }));
    }

    #[test]
    fn live_process_has_a_label_or_a_reason() {
        let (process, socket) = read_one(std::process::id(), None);
        assert!(process.is_ok_and(|l| !l.is_empty()) || has_no_label(std::process::id()));
        assert_eq!(socket, Err(Missing::NotApplicable));
        assert_eq!(read_one(u32::MAX, Some((3, 1))), (Err(Missing::Gone), Err(Missing::Gone)));
    }

    /// Returns true if the file itself is missing or empty.
    fn has_no_label(pid: u32) -> bool {
        fs::read(format!("/proc/{pid}/attr/current")).map_or(true, |b| b.is_empty())
            && read_one(pid, None).0 == Err(Missing::NoLabels)
    }
}
