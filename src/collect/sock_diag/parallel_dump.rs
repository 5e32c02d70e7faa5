//! A long table in two halves, dumped beside each other on two cores.
//!
//! Most of what a dump costs is the kernel's, and a dump is one thread. So two ask for half of it each: the kernel filters
//! by port, which a socket keeps for as long as it lives, so that every socket is in one half.
//!
//! Both halves go over the whole table of bound sockets too. Asking for those once, beside the halves, costs as much: the
//! kernel goes over all connected ones for that as well (`tcp_diag_dump`). Nor can one half have those without a far
//! port: a socket that was bound and then reset by its peer keeps it.

use super::dump_table::{self, TableDump};
use super::{Ask, DumpTable};
use crate::collect::netlink::socket::NetlinkSocket;
use crate::collect::netns::THREAD_SELF;
use crate::model::{Prefilter, Proto, Sample, Side, Socket};
use rustix::net::netlink::SOCK_DIAG;
use std::path::Path;
use std::thread;

/// Sockets of a table from which on it is read in halves.
const SPLIT_THRESHOLD: u64 = 16_384;

/// Where the local ports that the kernel chooses begin (`ip_local_port_range`), and their middle. Elsewhere the halves are
/// of different size, and nothing else.
const EPHEMERAL_FIRST: u16 = 32_768;
const EPHEMERAL_MIDDLE: u16 = 46_884;

/// Whether to read a table of so many sockets in halves: it is long, and there is a core to spare. `busy`: another one is
/// taken.
pub(crate) fn worth_splitting(table: &DumpTable, sockets: u64, busy: bool) -> bool {
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    table.proto == Proto::Tcp && sockets >= SPLIT_THRESHOLD && cores >= 2 + usize::from(busy)
}

/// About how many sockets a table has in the namespace of the calling thread; only for TCP.
pub(crate) fn socket_count(table: &DumpTable) -> u64 {
    let of = |file, line| {
        let text = std::fs::read_to_string(Path::new(THREAD_SELF).join(file)).unwrap_or_default();
        let words = text.lines().find_map(|l| l.strip_prefix(line)).unwrap_or_default();
        // `inuse 4 orphan 0 tw 17 alloc 9 mem 2`
        let words: Vec<&str> = words.split_ascii_whitespace().collect();
        let of =
            |name: &str| words.iter().position(|w| *w == name).and_then(|i| words.get(i + 1)?.parse().ok());
        of("inuse").unwrap_or(0u64) + of("tw").unwrap_or(0)
    };
    let (inet, inet6) = (("net/sockstat", "TCP: "), ("net/sockstat6", "TCP6: "));
    match table.ask {
        Ask::Inet(super::AF_INET, ..) => of(inet.0, inet.1),
        Ask::Inet(..) => of(inet6.0, inet6.1),
        _ => of(inet.0, inet.1) + of(inet6.0, inet6.1),
    }
}

/// What both halves filter by, beside what else is filtered.
pub(crate) fn port_partition(filter: Option<&Prefilter>) -> [Prefilter; 2] {
    let from = |side, low| Prefilter::Ports { side, low, high: u16::MAX };
    // By the end whose port was chosen by a kernel; between two such, by the local one.
    let one = Prefilter::Or(vec![
        from(Side::Local, EPHEMERAL_MIDDLE),
        Prefilter::And(vec![
            Prefilter::Not(Box::new(from(Side::Local, EPHEMERAL_FIRST))),
            from(Side::Remote, EPHEMERAL_MIDDLE),
        ]),
    ]);
    let other = Prefilter::Not(Box::new(one.clone()));
    [one, other].map(|half| Prefilter::And(filter.cloned().into_iter().chain([half]).collect()))
}

/// Reads both at once, by these programs. `false`: that could not be, and nothing was read.
pub(crate) fn dump_parallel(
    whole: &TableDump<'_>,
    programs: [Option<Vec<u8>>; 2],
    talk: &mut NetlinkSocket,
    sample: &mut Sample,
) -> bool {
    // Without a program it would be the whole.
    if programs.iter().any(Option::is_none) {
        return false;
    }
    let [one, other] = programs.map(|program| TableDump { program, ..whole.clone() });
    let Ok(mut second) = NetlinkSocket::open(Some(SOCK_DIAG)) else { return false };
    let (host, backend) = (sample.host.clone(), sample.backend.clone());
    let mut beside = Sample::empty(sample.at, host, backend, sample.wants.clone());
    let more = (sample.sockets.capacity() - sample.sockets.len()) / 2;
    beside.sockets.reserve_exact(more);
    beside.infos.reserve_exact((sample.infos.capacity() - sample.infos.len()) / 2);
    let before = dump_table::SampleLen::new(sample);
    let whole = thread::scope(|scope| {
        let filled = &mut beside;
        let thread = thread::Builder::new().name("half a dump".into());
        let Ok(thread) =
            thread.spawn_scoped(scope, move || dump_table::dump_table(&other, &mut second, true, filled))
        else {
            return false;
        };
        let one = dump_table::dump_table(&one, talk, true, sample);
        match thread.join() {
            Ok(other) => one && other,
            // Told by whoever watches this thread.
            Err(panic) => std::panic::resume_unwind(panic),
        }
    });
    if !whole || !append(sample, beside) {
        before.truncate(sample);
        return false;
    }
    true
}

/// Adds what was read beside. `false`: the two cannot be one.
fn append(sample: &mut Sample, beside: Sample) -> bool {
    if beside.infos.is_empty() {
        // Nothing to agree on.
    } else if sample.infos.is_empty() {
        sample.info_words = beside.info_words;
    } else if sample.info_words != beside.info_words {
        return false;
    }
    let infos = if sample.info_words == 0 { 0 } else { sample.infos.len() / sample.info_len() };
    let (Ok(attrs), Ok(infos)) = (u32::try_from(sample.attrs.len()), u32::try_from(infos)) else {
        return false;
    };
    sample.sockets.extend(beside.sockets.into_iter().map(|s| Socket {
        attr_at: s.attr_at + attrs,
        info_at: if s.info_at == Socket::NO_INFO { s.info_at } else { s.info_at + infos },
        ..s
    }));
    sample.attrs.extend_from_slice(&beside.attrs);
    sample.infos.extend_from_slice(&beside.infos);
    sample.faults.merge(beside.faults);
    true
}
