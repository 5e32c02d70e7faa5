//! Type information of a kernel from any bytes.

/// The subset for the program, of this BTF.
#[cfg(all(target_pointer_width = "64", target_endian = "little"))]
pub(crate) fn btf(bytes: &[u8]) {
    crate::collect::bpf::fuzz_btf(bytes, &super::bpf::TYPES, &["bpf_iter_task_file"]);
}

/// There is no loader on this machine.
#[cfg(not(all(target_pointer_width = "64", target_endian = "little")))]
pub(crate) fn btf(_: &[u8]) {}
