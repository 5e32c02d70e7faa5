//! BPF programs in effect for the cgroup of a process: `BPF_PROG_QUERY`, and what each returns by its instructions.

use crate::collect::cgroups;
use crate::model::cgroup_bpf::{CgroupDecision, CgroupHook, CgroupProgram, CgroupPrograms};
use crate::model::text;
use crate::privilege::{BPF, NETWORK, raise};
use rustix::fd::{AsRawFd, FromRawFd, OwnedFd};
use rustix::fs::{Mode, OFlags, open};
use std::io;
use std::path::{Path, PathBuf};

/// Commands of bpf(2).
const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_PROG_QUERY: libc::c_int = 16;
/// Flag of a query: the programs that run, with those of parents.
const BPF_F_QUERY_EFFECTIVE: u32 = 1;
/// Most programs of a hook (`BPF_CGROUP_MAX_PROGS`).
const MAX_PROGRAMS: usize = 64;
/// Most instructions of a program that are read.
const MAX_INSTRUCTIONS: usize = 4096;

/// `union bpf_attr`, as words of 8 bytes: of this size the kernel reads, and the rest is zero.
type Attr = [u64; 16];

/// Calls bpf(2); the descriptor or 0.
#[expect(unsafe_code, reason = "no crate in use has BPF_PROG_QUERY of cgroups")]
fn bpf(command: libc::c_int, attr: &mut Attr) -> io::Result<libc::c_int> {
    // SAFETY: the kernel reads and writes at most the bytes of `attr`, and at the addresses in it at most the lengths beside
    // them, which callers take from buffers that live until this returns.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_mut_ptr(), size_of::<Attr>()) };
    match libc::c_int::try_from(result) {
        Ok(result @ 0..) => Ok(result),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A word of two numbers, the first at the lower address.
const fn pair(first: u32, second: u32) -> u64 {
    let ([a, b, c, d], [e, f, g, h]) = (first.to_ne_bytes(), second.to_ne_bytes());
    u64::from_ne_bytes([a, b, c, d, e, f, g, h])
}

/// Ids of the programs of a hook of a cgroup.
fn query(cgroup: &OwnedFd, hook: CgroupHook, flags: u32) -> io::Result<Vec<u32>> {
    let mut ids = [0u32; MAX_PROGRAMS];
    let mut attr: Attr = [0; 16];
    attr[0] = pair(u32::try_from(cgroup.as_raw_fd()).unwrap_or(u32::MAX), hook.number());
    attr[1] = pair(flags, 0);
    attr[2] = ids.as_mut_ptr() as u64;
    attr[3] = pair(MAX_PROGRAMS as u32, 0);
    bpf(BPF_PROG_QUERY, &mut attr)?;
    let [a, b, c, d, ..] = attr[3].to_ne_bytes();
    let count = u32::from_ne_bytes([a, b, c, d]) as usize;
    Ok(ids.into_iter().take(count).collect())
}

/// Name of a program and its instructions, which may be empty.
#[expect(unsafe_code, reason = "a descriptor that bpf(2) made")]
fn program(id: u32) -> io::Result<(String, Vec<u64>)> {
    let mut attr: Attr = [0; 16];
    attr[0] = pair(id, 0);
    let raw = bpf(BPF_PROG_GET_FD_BY_ID, &mut attr)?;
    // SAFETY: the kernel made this descriptor for this call, and nothing else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(raw) };
    let mut instructions = vec![0u64; MAX_INSTRUCTIONS];
    // `struct bpf_prog_info`.
    let mut info = [0u64; 32];
    info[2] = pair(0, (MAX_INSTRUCTIONS * 8) as u32);
    info[4] = instructions.as_mut_ptr() as u64;
    let mut attr: Attr = [0; 16];
    attr[0] = pair(u32::try_from(fd.as_raw_fd()).unwrap_or(u32::MAX), (info.len() * 8) as u32);
    attr[1] = info.as_mut_ptr() as u64;
    bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    let [.., a, b, c, d] = info[2].to_ne_bytes();
    let length = u32::from_ne_bytes([a, b, c, d]) as usize / 8;
    // The kernel hides instructions by clearing the address; of a longer program the rest is missing.
    instructions.truncate(if info[4] == 0 || length > MAX_INSTRUCTIONS { 0 } else { length });
    let name: Vec<u8> = info[8..10].iter().flat_map(|w| w.to_ne_bytes()).take_while(|b| *b != 0).collect();
    Ok((text::from_bytes(&name).into_owned(), instructions))
}

/// Decision of a program by its instructions: that of the only constant that it puts into its result register `r0`
/// (`struct bpf_insn`: operation, destination register in the low half of the next byte, offset, constant).
fn decision(instructions: &[u64]) -> CgroupDecision {
    /// `BPF_ALU64 | BPF_MOV | BPF_K`, and of 32 bits.
    const MOV: [u8; 2] = [0xb7, 0xb4];
    /// `BPF_JMP | BPF_CALL`.
    const CALL: u8 = 0x85;
    /// `BPF_LD | BPF_IMM | BPF_DW`, which takes two places.
    const LOAD_LONG: u8 = 0x18;
    let mut constant: Option<i32> = None;
    let mut all = instructions.iter();
    while let Some(instruction) = all.next() {
        let [op, registers, _, _, a, b, c, d] = instruction.to_ne_bytes();
        let class = op & 7;
        // Loads and arithmetic write the destination, stores and jumps do not.
        let writes = matches!(class, 0 | 1 | 4 | 7);
        let is_result = registers % 0x10 == 0;
        if op == LOAD_LONG {
            all.next();
        }
        if op == CALL || (class == 3 && op & 0xe0 == 0xc0) {
            return CgroupDecision::Unknown;
        }
        if !writes || !is_result {
            continue;
        }
        let value = i32::from_ne_bytes([a, b, c, d]);
        if !MOV.contains(&op) || constant.is_some_and(|known| known != value) {
            return CgroupDecision::Unknown;
        }
        constant = Some(value);
    }
    // Of two bits at egress the first permits.
    match constant.map(|value| value & 1) {
        Some(0) => CgroupDecision::Refuses,
        Some(_) => CgroupDecision::Permits,
        None => CgroupDecision::Unknown,
    }
}

/// Path of the cgroup (v2) of a process in the hierarchy (`/proc/PID/cgroup`, cgroups(7)).
fn cgroup_of(pid: u32) -> io::Result<String> {
    let all = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let path = all.lines().find_map(|l| l.strip_prefix("0::")).ok_or(io::ErrorKind::Unsupported)?;
    Ok(path.to_owned())
}

/// The directory of a cgroup and those of its parents, the nearest first.
fn directories(root: &Path, path: &str) -> Option<Vec<(PathBuf, String)>> {
    let below = path.trim_start_matches('/');
    if below.split('/').any(|part| part == "..") {
        return None;
    }
    let mut out = vec![(root.to_owned(), "/".to_owned())];
    let (mut dir, mut name) = (root.to_owned(), String::new());
    for part in below.split('/').filter(|p| !p.is_empty()) {
        dir.push(part);
        name = format!("{name}/{part}");
        out.push((dir.clone(), name.clone()));
    }
    out.reverse();
    Some(out)
}

/// Reads the programs in effect for a process. `None` without cgroup v2, where none can be attached.
pub fn programs(pid: u32) -> Option<CgroupPrograms> {
    let path = cgroup_of(pid).ok()?;
    let _raised = raise(BPF);
    let root = cgroups::root().or_else(cgroups::root_of_init)?;
    let result = |programs| Some(CgroupPrograms { cgroup: path.as_str().into(), programs });
    let Some(dirs) = directories(&root, &path) else {
        return result(Err("the cgroup is outside of the cgroup namespace of sockscope".into()));
    };
    match read(&dirs) {
        Ok(programs) => result(Ok(programs)),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            result(Err("not permitted; requires CAP_NET_ADMIN and CAP_SYS_ADMIN".into()))
        }
        // A kernel without BPF programs of cgroups.
        Err(e) if matches!(e.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) => None,
        Err(e) => result(Err(text::strip_os_error(&e.to_string()).into())),
    }
}

fn read(dirs: &[(PathBuf, String)]) -> io::Result<Vec<CgroupProgram>> {
    let _raised = raise(BPF.union(NETWORK));
    let mut opened = Vec::new();
    for (dir, name) in dirs {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        opened.push((open(dir, flags, Mode::empty())?, name));
    }
    let mut out = Vec::new();
    let Some((own, _)) = opened.first() else { return Ok(out) };
    for hook in CgroupHook::ALL {
        for id in query(own, hook, BPF_F_QUERY_EFFECTIVE)? {
            let has = |dir: &OwnedFd| query(dir, hook, 0).is_ok_and(|ids| ids.contains(&id));
            let place = opened.iter().find(|(dir, _)| has(dir)).map_or("?", |(_, name)| name.as_str());
            let (name, decision) = match program(id) {
                Ok((name, instructions)) => (name, decision(&instructions)),
                // Detached meanwhile.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(_) => (String::new(), CgroupDecision::Unknown),
            };
            out.push(CgroupProgram { hook, id, name: name.into(), cgroup: place.into(), decision });
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `r0 = value`, and the other instructions of these tests.
    const fn mov(value: i32) -> u64 {
        let [a, b, c, d] = value.to_ne_bytes();
        u64::from_ne_bytes([0xb7, 0, 0, 0, a, b, c, d])
    }
    const fn plain(op: u8, registers: u8) -> u64 {
        u64::from_ne_bytes([op, registers, 0, 0, 0, 0, 0, 0])
    }
    const EXIT: u64 = plain(0x95, 0);

    #[test]
    fn constant_result_is_a_decision() {
        use CgroupDecision::{Permits, Refuses, Unknown};
        let load = plain(0x61, 0x12);
        let jump = u64::from_ne_bytes([0x15, 2, 1, 0, 0, 0, 0, 0]);
        for (instructions, want) in [
            (vec![mov(0), EXIT], Refuses),
            (vec![mov(1), EXIT], Permits),
            (vec![mov(2), EXIT], Refuses),
            (vec![load, mov(1), EXIT], Permits),
            // By the packet.
            (vec![load, mov(1), jump, mov(0), EXIT], Unknown),
            // `r0` from memory, from another register, from a helper.
            (vec![plain(0x61, 0x10), EXIT], Unknown),
            (vec![plain(0xbf, 0x20), EXIT], Unknown),
            (vec![mov(1), plain(0x85, 0), EXIT], Unknown),
            (vec![mov(1), plain(0x57, 0), EXIT], Unknown),
            (vec![], Unknown),
        ] {
            assert_eq!(decision(&instructions), want, "{instructions:x?}");
        }
        // The second half of a long constant is no instruction.
        let long = plain(0x18, 1);
        assert_eq!(decision(&[long, mov(0), mov(1), EXIT]), Permits);
    }

    #[test]
    fn cgroup_and_its_parents_are_found_from_the_nearest_on() {
        let names = |path: &str| {
            let all = directories(Path::new("/c"), path)?;
            Some(all.into_iter().map(|(d, n)| format!("{} {n}", d.display())).collect::<Vec<_>>())
        };
        assert_eq!(names("/").unwrap(), ["/c /"]);
        assert_eq!(names("/a/b").unwrap(), ["/c/a/b /a/b", "/c/a /a", "/c /"]);
        assert_eq!(names("/../x"), None);
    }
}
