//! Decoders of events as functions of any bytes, for `crate::fuzzing`.

use super::closes;
use super::record::{Count, CountKey, Decoder, Record, push_counts};
use crate::collect::fuzz_sample::sample;
use crate::collect::netlink::socket::{DumpStats, read_messages};
use crate::model::Sample;
use crate::model::sample::EventSource;
use zerocopy::FromBytes;

/// Closes as `sock_diag` announces them.
pub(crate) fn event_closes(bytes: &[u8]) -> Sample {
    let mut out = sample();
    out.events.source = Some(EventSource::SockDiag);
    let (at, list) = (out.at.boot_ns, &mut out.events.list);
    let each = &mut |message: &[u8]| closes::decode(message, 0, at).map(|e| list.push(e));
    let _ended = read_messages(bytes, 0, &mut DumpStats::default(), each);
    out
}

/// Records of the BPF program; the rest is an entry of its counts.
pub(crate) fn event_records(bytes: &[u8]) -> Sample {
    let mut out = sample();
    out.events.source = Some(EventSource::Bpf);
    let (mut decoder, mut rest) = (Decoder::default(), bytes);
    while let Ok((record, after)) = Record::read_from_prefix(rest) {
        decoder.push(&record, 0, &mut out.events.list);
        rest = after;
    }
    if let Ok((key, rest)) = CountKey::read_from_prefix(rest)
        && let Ok((count, _)) = Count::read_from_prefix(rest)
    {
        push_counts(&key, &count, 0, &mut out.events.counts);
    }
    out
}
