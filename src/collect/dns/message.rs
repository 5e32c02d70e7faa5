//! DNS messages (RFC 1035, 4.1): header, first question, and the addresses of the answer. Of any bytes: every length is checked,
//! and a compressed name may only point backwards.

use crate::model::Addr;
use crate::model::sample::DNS_ADDRS;
use std::fmt::Write;

/// Length of the header.
const HEADER: usize = 12;
/// Longest name on the wire (RFC 1035, 2.3.4).
const NAME_MAX: usize = 255;
/// Most records of an answer that are looked at.
const RECORDS_MAX: u16 = 256;
/// Types of address records: `A`, `AAAA`.
const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
/// Class `IN`.
const CLASS_IN: u16 = 1;

/// Question of a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    /// Name in lower case, without the final dot; empty for the root.
    pub(super) name: Box<str>,
    /// Type.
    pub(super) qtype: u16,
}

/// The parts of a message that are needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) id: u16,
    pub(super) is_answer: bool,
    pub(super) truncated: bool,
    pub(super) rcode: u8,
    /// First question; an answer to a malformed one may have none.
    pub(super) question: Option<Question>,
    /// Number of records in the answer section, by the header.
    pub(super) answers: u16,
    /// First addresses of the answer.
    pub(super) addrs: Vec<Addr>,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let pair = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes([pair[0], pair[1]]))
}

/// Decodes a message; `None` if it is not one about names: a header with an operation other than a query, or no question.
pub(super) fn decode(bytes: &[u8]) -> Option<Message> {
    let flags = u16_at(bytes, 2)?;
    let is_answer = flags & 0x8000 != 0;
    // Standard queries (OPCODE 0) alone: notifies and updates are not resolution.
    if flags >> 11 & 0xf != 0 || bytes.len() < HEADER {
        return None;
    }
    let (questions, answers) = (u16_at(bytes, 4)?, u16_at(bytes, 6)?);
    let mut message = Message {
        id: u16_at(bytes, 0)?,
        is_answer,
        truncated: is_answer && flags & 0x0200 != 0,
        rcode: (flags & 0xf) as u8,
        question: None,
        answers: if is_answer { answers } else { 0 },
        addrs: Vec::new(),
    };
    if questions == 0 {
        return is_answer.then_some(message);
    }
    let (name, mut at) = name(bytes, HEADER)?;
    let (qtype, class) = (u16_at(bytes, at)?, u16_at(bytes, at + 2)?);
    // The top bit of the class asks for a unicast answer (RFC 6762, 5.4).
    if class & 0x7fff != CLASS_IN && class != 255 && class != 3 {
        return None;
    }
    at += 4;
    message.question = Some(Question { name, qtype });
    if is_answer && questions == 1 {
        message.addrs = addresses(bytes, at, answers);
    }
    Some(message)
}

/// The first addresses of the answer section, which begins here. A message cut short has those before the cut.
fn addresses(bytes: &[u8], mut at: usize, records: u16) -> Vec<Addr> {
    let mut out = Vec::new();
    for _ in 0..records.min(RECORDS_MAX) {
        let Some(end) = skip_name(bytes, at) else { break };
        let (Some(kind), Some(len)) = (u16_at(bytes, end), u16_at(bytes, end + 8)) else { break };
        let data = end + 10;
        let Some(data) = bytes.get(data..data + usize::from(len)) else { break };
        match (kind, data.len()) {
            (TYPE_A, 4) => out.extend(<[u8; 4]>::try_from(data).ok().map(Addr::v4)),
            (TYPE_AAAA, 16) => out.extend(<[u8; 16]>::try_from(data).ok().map(Addr::v6)),
            _ => {}
        }
        if out.len() == DNS_ADDRS {
            break;
        }
        at = end + 10 + usize::from(len);
    }
    out
}

/// End of a name in the message, without reading what it points to.
fn skip_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            n if n & 0xc0 == 0xc0 => return (at + 2 <= bytes.len()).then_some(at + 2),
            n if n & 0xc0 == 0 => at += 1 + usize::from(n),
            _ => return None,
        }
    }
}

/// A name as text and the place after it. Dots and backslashes within a label are escaped, octets that are not printable ASCII are
/// `\DDD` (RFC 4343, 2.1).
fn name(bytes: &[u8], start: usize) -> Option<(Box<str>, usize)> {
    let (mut at, mut end, mut octets) = (start, None, 0);
    let mut out = String::new();
    loop {
        let n = *bytes.get(at)?;
        match n & 0xc0 {
            0xc0 => {
                let target = usize::from(u16_at(bytes, at)? & 0x3fff);
                end.get_or_insert(at + 2);
                // A pointer leads to an earlier place (RFC 1035, 4.1.4): so there is no loop.
                if target >= at || target < HEADER {
                    return None;
                }
                at = target;
            }
            0 if n == 0 => {
                return Some((out.into(), end.unwrap_or(at + 1)));
            }
            0 => {
                let label = bytes.get(at + 1..at + 1 + usize::from(n))?;
                octets += 1 + label.len();
                if octets >= NAME_MAX {
                    return None;
                }
                if !out.is_empty() {
                    out.push('.');
                }
                for octet in label {
                    push_octet(&mut out, *octet);
                }
                at += 1 + usize::from(n);
            }
            _ => return None,
        }
    }
}

fn push_octet(out: &mut String, octet: u8) {
    match octet {
        b'.' | b'\\' => {
            out.push('\\');
            out.push(char::from(octet));
        }
        0x21..=0x7e => out.push(char::from(octet.to_ascii_lowercase())),
        _ => {
            let _ = write!(out, "\\{octet:03}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A question for `www.Example.com`, type A, id 0x1234.
    fn question() -> Vec<u8> {
        let mut out = vec![0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];
        out.extend_from_slice(b"\x03www\x07Example\x03com\0\0\x01\0\x01");
        out
    }

    fn answer(rcode: u8, records: &[&[u8]]) -> Vec<u8> {
        let mut out = question();
        (out[2], out[3], out[7]) = (0x81, 0x80 | rcode, records.len() as u8);
        out.extend_from_slice(&records.concat());
        out
    }

    #[test]
    fn question_has_id_type_and_name_in_lower_case() {
        let m = decode(&question()).unwrap();
        assert_eq!((m.id, m.is_answer, m.rcode), (0x1234, false, 0));
        assert_eq!(m.question, Some(Question { name: "www.example.com".into(), qtype: 1 }));
        let mut root = question()[..12].to_vec();
        root.extend_from_slice(b"\0\0\x02\0\x01");
        assert_eq!(decode(&root).unwrap().question, Some(Question { name: "".into(), qtype: 2 }));
    }

    #[test]
    fn answer_has_its_code_and_the_first_addresses() {
        let cname: &[u8] = b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x06\x03web\xc0\x10";
        let a = |n: u8| [&b"\xc0\x2d\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\0"[..], &[n]].concat();
        let aaaa = [&b"\xc0\x2d\0\x1c\0\x01\0\0\0\x3c\0\x10"[..], &[0x20; 16]].concat();
        let m = decode(&answer(0, &[cname, &a(1), &aaaa, &a(2), &a(3), &a(4)])).unwrap();
        assert!(m.is_answer && !m.truncated);
        assert_eq!(m.answers, 6);
        let want =
            [Addr::v4([10, 0, 0, 1]), Addr::v6([0x20; 16]), Addr::v4([10, 0, 0, 2]), Addr::v4([10, 0, 0, 3])];
        assert_eq!(m.addrs, want);
        assert_eq!(decode(&answer(3, &[])).unwrap().rcode, 3);
        let mut cut = answer(0, &[&a(1), &a(2)]);
        cut[2] |= 2;
        cut.truncate(cut.len() - 3);
        let m = decode(&cut).unwrap();
        assert!(m.truncated);
        assert_eq!(m.addrs, want[..1]);
    }

    #[test]
    fn answer_without_question_has_its_code() {
        let m = decode(&[0x12, 0x34, 0x81, 0x01, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        assert_eq!((m.id, m.rcode, m.question), (0x1234, 1, None));
    }

    #[test]
    fn octets_of_a_name_are_escaped() {
        let mut q = question()[..12].to_vec();
        q.extend_from_slice(b"\x06a.b\\\x1b \x03\xe2\x80\xae\0\0\x01\0\x01");
        assert_eq!(&*decode(&q).unwrap().question.unwrap().name, "a\\.b\\\\\\027\\032.\\226\\128\\174");
    }

    #[test]
    fn loops_and_pointers_forward_are_refused() {
        let with = |name: &[u8]| [&question()[..12], name, b"\0\x01\0\x01\0\0\0\0"].concat();
        // To itself, forward, into the header, and a label that runs into its own pointer.
        for name in [&b"\xc0\x0c"[..], b"\xc0\x20", b"\xc0\x02", b"\x01a\xc0\x0e"] {
            assert_eq!(decode(&with(name)), None, "{name:x?}");
        }
        // Longer than a name may be, by labels and by a pointer that adds its own label in each round.
        assert_eq!(decode(&with(&[&[63; 256][..], b"\0"].concat())), None);
        assert_eq!(decode(&with(b"\x01a\xc0\x0c")), None);
        // Kinds of labels that are not in use.
        assert_eq!(decode(&with(b"\x41a\0")), None);
    }

    #[test]
    fn every_prefix_and_every_byte_is_decoded_or_refused() {
        let whole = answer(0, &[b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\0\x01"]);
        for end in 0..whole.len() {
            let _ = decode(&whole[..end]);
        }
        for at in 0..whole.len() {
            for byte in [0, 1, 0x3f, 0x40, 0x80, 0xc0, 0xff] {
                let mut changed = whole.clone();
                changed[at] = byte;
                let _ = decode(&changed);
            }
        }
    }

    #[test]
    fn other_operations_are_no_questions() {
        let mut update = question();
        update[2] = 0x28;
        assert_eq!(decode(&update), None);
        let mut none = question();
        none[5] = 0;
        assert_eq!(decode(&none), None);
    }
}
