//! A table dumped in two parts: a long one in parallel on two cores, or by a property that only a filter of the kernel reports.
//!
//! Most of the cost of a dump is in the kernel, and a dump is single-threaded. Each of two dumps requests half the table: the
//! kernel filters by port, which never changes during the lifetime of a socket, so every socket is in exactly one half.
//!
//! Both dumps iterate over the table of bound sockets. A third dump for those would cost as much, since the kernel iterates
//! over all connected sockets for it too (`tcp_diag_dump`). Nor can sockets without a remote port go to one half only: a
//! bound socket that was reset by its peer keeps its remote port.

use super::dump_table::{self, TableDump};
use super::tables::{DumpMethod, DumpTable};
use crate::collect::netlink::socket::NetlinkSocket;
use crate::collect::netns::THREAD_SELF;
use crate::model::{Prefilter, Proto, Sample, Side, Socket};
use rustix::net::netlink::SOCK_DIAG;
use std::path::Path;
use std::thread;

/// Number of sockets from which a table is read in halves.
const SPLIT_THRESHOLD: u64 = 16_384;

/// First and middle port of the default `ip_local_port_range`. With another range the halves are only unequal in size.
const EPHEMERAL_FIRST: u16 = 32_768;
const EPHEMERAL_MIDDLE: u16 = 46_884;

/// True if a table with this many sockets should be read in halves: it is long and a core is free. `busy`: one more core is in
/// use.
pub(crate) fn worth_splitting(table: &DumpTable, sockets: u64, busy: bool) -> bool {
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    table.proto == Proto::Tcp && sockets >= SPLIT_THRESHOLD && cores >= 2 + usize::from(busy)
}

/// Approximate number of sockets of a TCP table in the network namespace of the calling thread.
pub(crate) fn socket_count(table: &DumpTable) -> u64 {
    let count = |file, prefix| {
        let text = std::fs::read_to_string(Path::new(THREAD_SELF).join(file)).unwrap_or_default();
        let words = text.lines().find_map(|l| l.strip_prefix(prefix)).unwrap_or_default();
        // `inuse 4 orphan 0 tw 17 alloc 9 mem 2`
        let words: Vec<&str> = words.split_ascii_whitespace().collect();
        let value =
            |name: &str| words.iter().position(|w| *w == name).and_then(|i| words.get(i + 1)?.parse().ok());
        value("inuse").unwrap_or(0u64) + value("tw").unwrap_or(0)
    };
    let (inet, inet6) = (("net/sockstat", "TCP: "), ("net/sockstat6", "TCP6: "));
    match table.method {
        DumpMethod::Inet(super::tables::AF_INET, ..) => count(inet.0, inet.1),
        DumpMethod::Inet(..) => count(inet6.0, inet6.1),
        _ => count(inet.0, inet.1) + count(inet6.0, inet6.1),
    }
}

/// The filters of the two halves: the common filter and a partition by port.
pub(crate) fn port_partition(filter: Option<&Prefilter>) -> [Prefilter; 2] {
    let from = |side, low| Prefilter::Ports { side, low, high: u16::MAX };
    // By the ephemeral port; if both are ephemeral, by the local one.
    let upper = Prefilter::Or(vec![
        from(Side::Local, EPHEMERAL_MIDDLE),
        Prefilter::And(vec![
            Prefilter::Not(Box::new(from(Side::Local, EPHEMERAL_FIRST))),
            from(Side::Remote, EPHEMERAL_MIDDLE),
        ]),
    ]);
    let lower = Prefilter::Not(Box::new(upper.clone()));
    [upper, lower].map(|half| Prefilter::And(filter.cloned().into_iter().chain([half]).collect()))
}

/// The filters of the sockets with a port that the kernel chose, and of those with a port set by `bind`: never both, since
/// `SOCK_BINDPORT_LOCK` is set or not when a socket enters the table.
pub(crate) fn auto_port_partition(filter: Option<&Prefilter>) -> [Prefilter; 2] {
    [Prefilter::AutoBound, Prefilter::Not(Box::new(Prefilter::AutoBound))]
        .map(|part| Prefilter::And(filter.cloned().into_iter().chain([part]).collect()))
}

/// Reads both parts of a table, in parallel or one after the other. Returns the index of the first socket of the second part;
/// `None` if that is not possible and nothing was read.
pub(crate) fn dump_parts(
    whole: &TableDump<'_>,
    bytecodes: [Option<Vec<u8>>; 2],
    parallel: bool,
    socket: &mut NetlinkSocket,
    sample: &mut Sample,
) -> Option<usize> {
    // Without bytecode each would be the whole table.
    if bytecodes.iter().any(Option::is_none) {
        return None;
    }
    let parts = bytecodes.map(|bytecode| TableDump { bytecode, ..whole.clone() });
    if parallel {
        return dump_parallel(parts, socket, sample);
    }
    let before = dump_table::SampleLen::new(sample);
    let [first, second] = parts;
    let mut complete = dump_table::dump_table(&first, socket, true, sample);
    let middle = sample.sockets.len();
    complete = complete && dump_table::dump_table(&second, socket, true, sample);
    if !complete {
        before.truncate(sample);
    }
    complete.then_some(middle)
}

/// Reads both parts in parallel.
fn dump_parallel(
    [first, second]: [TableDump<'_>; 2],
    socket: &mut NetlinkSocket,
    sample: &mut Sample,
) -> Option<usize> {
    let mut second_socket = NetlinkSocket::open(Some(SOCK_DIAG)).ok()?;
    let (host, backend) = (sample.host.clone(), sample.backend.clone());
    let mut second_sample = Sample::empty(sample.at, host, backend, sample.wants.clone());
    let spare = (sample.sockets.capacity() - sample.sockets.len()) / 2;
    second_sample.sockets.reserve_exact(spare);
    second_sample.infos.reserve_exact((sample.infos.capacity() - sample.infos.len()) / 2);
    let before = dump_table::SampleLen::new(sample);
    let complete = thread::scope(|scope| {
        let target = &mut second_sample;
        let thread = thread::Builder::new().name("half-dump".into());
        let Ok(thread) = thread
            .spawn_scoped(scope, move || dump_table::dump_table(&second, &mut second_socket, true, target))
        else {
            return false;
        };
        let first_complete = dump_table::dump_table(&first, socket, true, sample);
        match thread.join() {
            Ok(second_complete) => first_complete && second_complete,
            // The poller reports the panic of its thread.
            Err(panic) => std::panic::resume_unwind(panic),
        }
    });
    let middle = sample.sockets.len();
    if !complete || !append(sample, second_sample) {
        before.truncate(sample);
        return None;
    }
    Some(middle)
}

/// Appends the second half. Returns `false` if the two halves have different words of `tcp_info`.
fn append(sample: &mut Sample, other: Sample) -> bool {
    if other.infos.is_empty() {
        // Nothing to compare.
    } else if sample.infos.is_empty() {
        sample.info_words = other.info_words;
    } else if sample.info_words != other.info_words {
        return false;
    }
    let infos = if sample.info_words == 0 { 0 } else { sample.infos.len() / sample.info_len() };
    let (Ok(attrs), Ok(infos)) = (u32::try_from(sample.attrs.len()), u32::try_from(infos)) else {
        return false;
    };
    sample.sockets.extend(other.sockets.into_iter().map(|s| Socket {
        attr_at: s.attr_at + attrs,
        info_at: if s.info_at == Socket::NO_INFO { s.info_at } else { s.info_at + infos },
        ..s
    }));
    sample.attrs.extend_from_slice(&other.attrs);
    sample.infos.extend_from_slice(&other.infos);
    sample.faults.merge(other.faults);
    true
}
