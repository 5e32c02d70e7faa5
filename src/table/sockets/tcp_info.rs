//! Columns of `tcp_info`: one for each field of [`TCP_FIELDS`], in its order.

use crate::format::{Align, Column, Get, Kind, Needs, Value, Width};
use crate::model::Missing;
use crate::model::tcp_info::{FieldUnit, TCP_FIELDS, TcpField};

/// Number of columns.
pub(crate) const COUNT: usize = TCP_FIELDS.len();

/// Name, title and aliases of each, in the order of the fields; a test holds them together.
const WORDS: [(&str, &str, &[&str]); COUNT] = [
    ("tcp_state", "TCP-STATE", &[]),
    ("ca_state", "CA-STATE", &[]),
    ("tcp_retransmits", "RTO-CONSEC", &[]),
    ("probes", "PROBES", &[]),
    ("backoff", "BACKOFF", &[]),
    ("tcp_options", "TCP-OPTS", &[]),
    ("rto_us", "RTO", &["rto"]),
    ("ato_us", "ATO", &["ato"]),
    ("snd_mss", "MSS", &["mss"]),
    ("rcv_mss", "RCV-MSS", &["rcvmss"]),
    ("unacked", "UNACKED", &[]),
    ("sacked", "SACKED", &[]),
    ("lost", "LOST", &[]),
    ("retrans_now", "RETR-NOW", &[]),
    ("fackets", "FACKETS", &[]),
    ("last_data_sent_ms", "LASTSND", &["last_data_sent", "lastsnd"]),
    ("last_ack_sent_ms", "LASTACKSND", &["last_ack_sent"]),
    ("last_data_recv_ms", "LASTRCV", &["last_data_recv", "lastrcv"]),
    ("last_ack_recv_ms", "LASTACK", &["last_ack_recv", "lastack"]),
    ("pmtu", "PMTU", &[]),
    ("rcv_ssthresh", "RSSTHRESH", &[]),
    ("rtt_us", "RTT", &["rtt"]),
    ("rttvar_us", "RTTVAR", &["rttvar"]),
    ("snd_ssthresh", "SSTHRESH", &["ssthresh"]),
    ("snd_cwnd", "CWND", &["cwnd"]),
    ("advmss", "ADVMSS", &[]),
    ("reordering", "REORDERING", &[]),
    ("rcv_rtt_us", "RCV-RTT", &["rcv_rtt"]),
    ("rcv_space", "RCV-SPACE", &[]),
    ("total_retrans", "RETRANS", &["retrans_total"]),
    ("pacing_rate", "PACING", &["pacing"]),
    ("max_pacing_rate", "MAX-PACING", &[]),
    ("bytes_acked", "ACKED", &["acked"]),
    ("bytes_received", "RCVD", &["received"]),
    ("segs_out", "SEGS-OUT", &[]),
    ("segs_in", "SEGS-IN", &[]),
    ("notsent_bytes", "NOTSENT", &["notsent"]),
    ("min_rtt_us", "MIN-RTT", &["min_rtt", "minrtt"]),
    ("data_segs_in", "DATA-SEGS-IN", &[]),
    ("data_segs_out", "DATA-SEGS-OUT", &[]),
    ("delivery_rate", "DELIVERY", &["delivery"]),
    ("busy_time_us", "BUSY", &["busy_time", "busy"]),
    ("rwnd_limited_us", "RWND-LIM", &["rwnd_limited"]),
    ("sndbuf_limited_us", "SNDBUF-LIM", &["sndbuf_limited"]),
    ("delivered", "DELIVERED", &[]),
    ("delivered_ce", "DELIVERED-CE", &[]),
    ("bytes_sent", "SENT", &[]),
    ("bytes_retrans", "RETR-BYTES", &[]),
    ("dsack_dups", "DSACK-DUPS", &[]),
    ("reord_seen", "REORD-SEEN", &[]),
    ("rcv_ooopack", "RCV-OOOPACK", &[]),
    ("snd_wnd", "SND-WND", &[]),
    ("rcv_wnd", "RCV-WND", &[]),
    ("rehash", "REHASH", &[]),
    ("total_rto", "TOTAL-RTO", &[]),
    ("total_rto_recoveries", "RTO-RECOV", &[]),
    ("total_rto_time_ms", "RTO-TIME", &["total_rto_time"]),
    ("received_ce", "RECEIVED-CE", &[]),
    ("delivered_e1_bytes", "DELIV-E1", &[]),
    ("delivered_e0_bytes", "DELIV-E0", &[]),
    ("delivered_ce_bytes", "DELIV-CEB", &[]),
    ("received_e1_bytes", "RECVD-E1", &[]),
    ("received_e0_bytes", "RECVD-E0", &[]),
    ("received_ce_bytes", "RECVD-CEB", &[]),
    ("accecn_fail_mode", "ACCECN-FAIL", &[]),
    ("accecn_opt_seen", "ACCECN-OPT", &[]),
];

const fn column(
    field: &'static TcpField,
    words: (&'static str, &'static str, &'static [&'static str]),
) -> Column {
    let kind = match field.unit {
        FieldUnit::Count => Kind::Count,
        FieldUnit::Bytes => Kind::Bytes,
        FieldUnit::BytesPerSec => Kind::BytesPerSec,
        FieldUnit::Micros => Kind::Micros,
        FieldUnit::Millis => Kind::Millis,
        FieldUnit::Flags => Kind::Hex,
    };
    let title = words.1.len() as u16;
    let normal = if title > 7 { title } else { 7 };
    Column {
        aliases: words.2,
        align: Align::Right,
        width: Width { min: 5, normal, max: 20 },
        needs: Needs::info(field.words()),
        get: Get::Tcp(field),
        ..Column::new(words.0, words.1, kind, 50, |_, _| Value::Missing(Missing::NotReported), field.help)
    }
}

/// The columns.
pub(crate) const COLUMNS: [Column; COUNT] = {
    let mut out = [column(&TCP_FIELDS[0], WORDS[0]); COUNT];
    let mut i = 1;
    while i < COUNT {
        out[i] = column(&TCP_FIELDS[i], WORDS[i]);
        i += 1;
    }
    out
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn column_names_match_their_fields() {
        for (field, (name, ..)) in TCP_FIELDS.iter().zip(WORDS) {
            let plain = name.trim_start_matches("tcp_").trim_end_matches("_now");
            assert_eq!(field.name, plain);
        }
    }
}
