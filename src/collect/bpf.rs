//! Loading of the BPF programs in `assets/bpf`, and what it requires of the machine.
//!
//! It needs a kernel with BTF and `CAP_BPF` with `CAP_PERFMON` (or `CAP_SYS_ADMIN`) in the initial user namespace.

mod btf_subset;

use crate::privilege::{BPF, raise};
use aya::{Btf, Ebpf, EbpfLoader, Endianness};
use rustix::thread::{CapabilitySet, capabilities};

/// Least address space with which a program is loaded, bytes.
const ADDRESS_SPACE_MIN: u64 = 1 << 30;

/// Loads an object: its fields moved to where the running kernel has them, its maps made. `types` are the kernel types whose
/// fields it reads, `names` the functions and typedefs it attaches to. Also returns the types of the kernel, which attaching
/// needs. The error is one line.
pub(crate) fn load(object: &[u8], types: &[&str], names: &[&str]) -> Result<(Ebpf, Btf), String> {
    let path = "/sys/kernel/btf/vmlinux";
    let whole = std::fs::read(path).map_err(|e| format!("no BTF: {path}: {e}"))?;
    let subset = btf_subset::extract(&whole, types, names);
    let btf = Btf::parse(subset.as_deref().unwrap_or(&whole), Endianness::default())
        .map_err(|e| reason("parse BTF", &e))?;
    drop(whole);
    let ebpf = EbpfLoader::new().btf(Some(&btf)).load(object).map_err(|e| reason("load program", &e))?;
    Ok((ebpf, btf))
}

/// The failed operation and its innermost cause, in one line (a load error has the whole verifier log).
pub(crate) fn reason(what: &str, e: &dyn std::error::Error) -> String {
    let mut e = e;
    while let Some(source) = e.source() {
        e = source;
    }
    let text = e.to_string();
    format!("{what}: {}", text.lines().next().unwrap_or_default())
}

/// Checks the capabilities. Those of a nested user namespace do not permit loading bpf programs.
pub(crate) fn check_permission() -> Result<(), String> {
    const INITIAL_USER_NS: &str = "user:[4026531837]";
    let needed = CapabilitySet::BPF | CapabilitySet::PERFMON;
    let _raised = raise(BPF);
    let have = capabilities(None).map_err(|e| reason("capabilities", &e))?.effective;
    if !have.contains(CapabilitySet::SYS_ADMIN) && !have.contains(needed) {
        return Err("requires CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN".to_owned());
    }
    // Types of the kernel and the loader take memory, and a failed allocation ends the program.
    let address_space = rustix::process::getrlimit(rustix::process::Resource::As).current;
    if address_space.is_some_and(|bytes| bytes < ADDRESS_SPACE_MIN) {
        return Err("the address space is limited (RLIMIT_AS)".to_owned());
    }
    match std::fs::read_link("/proc/self/ns/user") {
        Ok(link) if link.as_os_str() != INITIAL_USER_NS => {
            Err("not in the initial user namespace".to_owned())
        }
        _ => Ok(()),
    }
}

/// The subset for a program, of any bytes as BTF, and the subset of that: it is BTF of the lengths in its header. (Types that
/// its pointers name need not be in it.)
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz_btf(bytes: &[u8], types: &[&str], names: &[&str]) {
    let extract = |btf: &[u8]| btf_subset::extract(btf, types, names);
    if let Some(subset) = extract(bytes) {
        assert!(subset.len() <= 2 * bytes.len());
        let word = |at: usize| u32::from_ne_bytes(subset[at..at + 4].try_into().unwrap_or_default()) as usize;
        assert_eq!((word(4) + word(16), word(16) + word(20)), (24 + word(12), subset.len() - 24));
        let _ = extract(&subset);
    }
}

/// Kernel types that the loader relocates in this source of a program, sorted.
#[cfg(test)]
pub(crate) fn relocated_types(source: &str) -> Vec<&str> {
    let mut open = "";
    let mut types = Vec::new();
    for line in source.lines() {
        if let Some(name) = line.strip_prefix("struct ").and_then(|l| l.strip_suffix(" {")) {
            open = name;
        }
        if line == "} CORE;" {
            types.push(open);
        }
    }
    types.sort_unstable();
    types
}
