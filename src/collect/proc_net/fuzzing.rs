//! Lines of `/proc` and captured trees from any bytes.

use super::{ProcSource, SyntheticIds, TABLES, line, non_ip};
use crate::collect::fuzz_sample::{sample, wants};
use crate::collect::source::Source;
use crate::model::{Family, Sample};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Marks the name of a file in the text of a tree, at the start of a line.
const FILE: &str = "==> ";

/// The sockets of these lines; the first byte chooses the table and the byte order.
pub(crate) fn proc_line(bytes: &[u8]) -> Sample {
    let mut sample = sample();
    let Some((first, lines)) = bytes.split_first() else { return sample };
    let (_, proto, family) = TABLES[usize::from(*first & 0x7f) % TABLES.len()];
    let mut ids = SyntheticIds::default();
    for raw in lines.split(|b| *b == b'\n') {
        let parsed = if matches!(family, Family::Inet | Family::Inet6) {
            line::socket(raw, proto, family, first & 0x80 == 0)
                .map(|s| (s, line::attributes(raw, proto, s.state)))
        } else {
            non_ip::socket(raw, proto, &mut sample)
        };
        if let Ok((mut s, attrs)) = parsed
            && ids.assign(&mut s)
        {
            sample.push_attrs(&mut s, &attrs);
            sample.sockets.push(s);
        }
    }
    sample
}

/// The sample of a captured tree, two polls of it; nothing if it has no tables. The text is `==> NAME` and the content of the
/// file, again and again; `==> NAME -> TARGET` is a link.
pub(crate) fn captured_tree(bytes: &[u8]) -> Vec<Sample> {
    let root = std::env::temp_dir().join(format!("sockscope-fuzz-{}", std::process::id()));
    let root = root.join(format!("{:?}", std::thread::current().id()));
    let _ = fs::remove_dir_all(&root);
    write_tree(&root, bytes);
    let samples = ProcSource::new(&root, "fuzz".into())
        .map(|mut source| (0..2).filter_map(|_| source.sample(&wants()).ok()).collect());
    let _ = fs::remove_dir_all(&root);
    samples.unwrap_or_default()
}

/// Writes the files of the text. What cannot be written is left out.
fn write_tree(root: &Path, bytes: &[u8]) {
    let mut file: Option<PathBuf> = None;
    let mut content: Vec<u8> = Vec::new();
    let end = |file: Option<PathBuf>, content: &mut Vec<u8>| {
        if let Some(file) = file {
            let _ = file.parent().map(fs::create_dir_all);
            let _ = fs::write(file, &*content);
        }
        content.clear();
    };
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let Some(name) = line.strip_prefix(FILE.as_bytes()).and_then(|n| std::str::from_utf8(n).ok()) else {
            content.extend_from_slice(line);
            continue;
        };
        end(file.take(), &mut content);
        let (name, target) =
            name.trim_end().split_once(" -> ").map_or((name.trim_end(), None), |(n, t)| (n, Some(t)));
        // Nothing outside of the tree.
        let is_inside = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_./:".contains(&b));
        if !is_inside || name.contains("..") || name.starts_with('/') || name.is_empty() {
            continue;
        }
        let path = root.join(name);
        match target {
            // As of descriptors, `socket:[7]`: a link to a file would be followed.
            Some(t) if t.contains(':') && !t.contains('/') => {
                let _ = path.parent().map(fs::create_dir_all);
                let _ = symlink(t, path);
            }
            Some(_) => {}
            None => file = Some(path),
        }
    }
    end(file.take(), &mut content);
}
