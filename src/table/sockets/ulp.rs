//! Columns of upper layer protocols (kernel TLS) and TCP MD5 signatures.

use super::family::{INFO, family_value};
use crate::format::{Column, Kind, Value};
use crate::model::{AttrSet, Proto, Snapshot, names};

fn tls<'a>(snap: &Snapshot, row: usize) -> Value<'a> {
    let all = snap.attrs(row).tls().map(|t| {
        let version = t.version.map(|v| {
            Value::from(match v {
                0x0303 => "1.2".to_owned(),
                0x0304 => "1.3".to_owned(),
                v => format!("0x{v:04x}"),
            })
        });
        let mode = |c: Option<u16>| c.map(|c| Value::text(names::tls_mode(c)));
        let fields = [
            ("version", version),
            ("cipher", t.cipher.map(|c| Value::from(names::tls_cipher(c)))),
            ("tx", mode(t.tx)),
            ("rx", mode(t.rx)),
            ("zero_copy_tx", Some(Value::Bool(t.zero_copy_tx))),
            ("rx_no_pad", Some(Value::Bool(t.rx_no_pad))),
        ];
        Value::Record(fields.into_iter().filter_map(|(n, v)| Some((n, v?))).collect())
    });
    family_value(snap, row, Proto::Tcp, AttrSet::INFO, all)
}

fn md5_keys<'a>(snap: &Snapshot, row: usize) -> Value<'a> {
    let keys = snap.attrs(row).md5_keys().map(|all| {
        Value::List(all.iter().map(|k| Value::from(format!("{}/{}", k.addr, k.prefix_len))).collect())
    });
    family_value(snap, row, Proto::Tcp, AttrSet::INFO, keys)
}

/// The columns.
#[rustfmt::skip]
pub(super) const COLUMNS: &[Column] = &[
    Column::new("ulp", "ULP", Kind::Text, 71,
        |s, r| family_value(s, r, Proto::Tcp, AttrSet::INFO, s.attrs(r).ulp().map(|u| Value::from(u.to_owned()))),
        "Upper layer protocol of the TCP socket: tls, mptcp.")
        .needs(INFO).wide(4, 5, 12),
    Column::new("tls_info", "TLS", Kind::List, 71, tls,
        "Kernel TLS: version, cipher, implementation of encryption (tx) and decryption (rx), options.")
        .needs(INFO).wide(8, 24, 60),
    Column::new("md5_keys", "MD5 KEYS", Kind::List, 71, md5_keys,
        "Peers with a TCP MD5 signature key (not the keys); reported only with CAP_NET_ADMIN.")
        .needs(INFO).wide(8, 16, 60),
];
