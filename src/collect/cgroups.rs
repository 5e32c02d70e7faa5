//! Cgroups (v2): paths of the cgroup ids of sockets.
//!
//! The id of a cgroup is the inode of its directory, so the mounted tree is walked once, and again when a socket has an
//! unknown id.

use crate::model::{Sample, text};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Directories visited per walk.
const DIRS_MAX: usize = 50_000;

/// Mount point of cgroup v2: the first mount of that type (`/proc/self/mountinfo`, proc(5)).
pub(crate) fn root() -> Option<PathBuf> {
    let mounts = fs::read("/proc/self/mountinfo").ok()?;
    mount_point(&mounts, b"cgroup2")
}

/// Mount point of cgroup v2 as the first process has it: `ip netns exec` mounts another `/sys`, which has none.
pub(crate) fn root_of_init() -> Option<PathBuf> {
    let mounts = fs::read("/proc/1/mountinfo").ok()?;
    let point = mount_point(&mounts, b"cgroup2")?;
    Some(Path::new("/proc/1/root").join(point.strip_prefix("/").unwrap_or(&point)))
}

/// Mount point of the first file system of this type.
fn mount_point(mountinfo: &[u8], kind: &[u8]) -> Option<PathBuf> {
    mountinfo.split(|b| *b == b'\n').find_map(|line| {
        let mut words = line.split(|b| *b == b' ');
        let point = words.nth(4)?;
        let fs_type = words.skip_while(|w| *w != b"-").nth(1)?;
        (fs_type == kind).then(|| PathBuf::from(std::ffi::OsStr::from_bytes(&unescape(point))))
    })
}

/// Decodes octal escapes such as `\040` for a space.
fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((first, tail)) = rest.split_first() {
        let octal = (*first == b'\\').then(|| tail.get(..3)).flatten();
        let number = octal.and_then(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 8).ok());
        match number {
            Some(n) => {
                out.push(n);
                rest = &tail[3..];
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

/// Id of the cgroup with this path.
pub(crate) fn id(path: &str) -> Option<u64> {
    let below = path.trim_start_matches('/');
    if below.split('/').any(|part| part == "..") {
        return None;
    }
    fs::metadata(root()?.join(below)).ok().map(|m| m.ino())
}

/// Cache of the cgroup tree.
#[derive(Debug, Default)]
pub(crate) struct Cgroups {
    root: Option<PathBuf>,
    paths: FxHashMap<u64, Box<str>>,
    /// Ids not found by the last walk: removed, or in another cgroup namespace.
    unknown: FxHashSet<u64>,
    published: Arc<BTreeMap<u64, Box<str>>>,
}

impl Cgroups {
    /// Adds the paths of the cgroups of the sample's sockets and of the processes of its events.
    pub(crate) fn fill(&mut self, sample: &mut Sample) {
        let mut ids: FxHashSet<u64> = FxHashSet::default();
        ids.extend(sample.sockets.iter().filter_map(|s| sample.attrs_of(s).cgroup_id()));
        let of_events = sample.events.list.iter().filter_map(|e| Some(e.process.as_ref()?.cgroup_id));
        ids.extend(of_events.filter(|id| *id != 0));
        if ids.iter().any(|id| !self.paths.contains_key(id) && !self.unknown.contains(id)) {
            self.walk();
            self.unknown = ids.iter().copied().filter(|id| !self.paths.contains_key(id)).collect();
        }
        let path = |id: u64| Some((id, self.paths.get(&id)?.clone()));
        if ids.len() != self.published.len() || ids.iter().any(|id| !self.published.contains_key(id)) {
            self.published = Arc::new(ids.into_iter().filter_map(path).collect());
        }
        sample.cgroups = Arc::clone(&self.published);
    }

    fn walk(&mut self) {
        if self.root.is_none() {
            self.root = root();
        }
        let Some(root) = &self.root else { return };
        self.paths.clear();
        if let Ok(m) = fs::metadata(root) {
            self.paths.insert(m.ino(), "/".into());
        }
        let mut dirs = vec![root.clone()];
        while let Some(dir) = dirs.pop() {
            // Removed or not readable: its sockets keep the id only.
            let Ok(entries) = fs::read_dir(&dir) else { continue };
            for entry in entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
                if self.paths.len() >= DIRS_MAX {
                    return;
                }
                let path = entry.path();
                self.paths.insert(entry.ino(), cgroup_path(root, &path));
                dirs.push(path);
            }
        }
    }
}

/// Path below the root.
fn cgroup_path(root: &Path, path: &Path) -> Box<str> {
    let rest = path.strip_prefix(root).unwrap_or(path);
    format!("/{}", text::from_bytes(rest.as_os_str().as_bytes())).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_point_is_found_and_unescaped() {
        let info = b"29 24 0:25 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw\n\
            30 24 0:26 / /sys/fs/cg\\040x rw - cgroup cgroup rw,cpu\n";
        assert_eq!(mount_point(info, b"cgroup2"), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(mount_point(info, b"cgroup"), Some("/sys/fs/cg x".into()));
        assert_eq!(mount_point(info, b"bpf"), None);
        assert_eq!(mount_point(b"garbage\n\n1 2", b"cgroup2"), None);
    }
}
