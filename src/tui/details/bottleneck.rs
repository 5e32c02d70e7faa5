//! Send bottleneck of a connection, and MPTCP subflows.

use super::{Builder, Pieces};
use crate::format::cell;
use crate::format::{Kind, Value};
use crate::model::lang::tr;
use crate::model::{Proto, Snapshot};
use crate::msg;

/// Time with data to send, split by what limited it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Busy {
    secs: f64,
    receiver: f64,
    send_buffer: f64,
}

impl Busy {
    /// Shares of cumulative microseconds; `None` if nothing was ever sent.
    fn new(busy: u64, receiver: u64, send_buffer: u64) -> Option<Self> {
        if busy == 0 {
            return None;
        }
        let share = |us: u64| (us as f64 / busy as f64).min(1.0);
        Some(Self { secs: busy as f64 / 1e6, receiver: share(receiver), send_buffer: share(send_buffer) })
    }

    /// The rest: congestion window, path, and rate of ACKs.
    fn network(&self) -> f64 {
        (1.0 - self.receiver - self.send_buffer).max(0.0)
    }
}

impl Builder<'_> {
    /// Adds a stacked bar of what limited sending: receiver window, send buffer, network; and application limits.
    pub(super) fn bottleneck(&mut self, row: usize) {
        let theme = self.app.theme;
        let attrs = self.snap.attrs(row);
        let Some(t) = attrs.tcp_info() else { return };
        let (Some(busy), Some(receiver), Some(buffer)) =
            (t.busy_time_us(), t.rwnd_limited_us(), t.sndbuf_limited_us())
        else {
            return;
        };
        let since = self
            .app
            .socket_history
            .busy_since(busy, receiver, buffer)
            .and_then(|(b, r, s)| Busy::new(b, r, s));
        let Some(whole) = Busy::new(busy, receiver, buffer) else { return };
        let app = t.app_limited();
        self.section(tr("send bottleneck"));
        let watched =
            self.app.socket_history.span.1.saturating_sub(self.app.socket_history.span.0) as f64 / 1e9;
        let spans = [(tr("since connect"), Some(whole), 0.0), (tr("since selected"), since, watched)];
        for (name, b, span) in spans.into_iter().filter_map(|(n, b, span)| Some((n, b?, span))) {
            let parts = [
                (b.receiver, tr("receiver window"), theme.bad),
                (b.send_buffer, tr("send buffer"), theme.warn),
                (b.network(), tr("network"), theme.accent),
            ];
            let mut line: Pieces = vec![(super::pad(name, self.label()), theme.dim)];
            for (n, (share, _, style)) in parts.iter().enumerate() {
                let cells = (share * 20.0).round() as usize;
                // Distinct without colour too.
                line.push((self.app.glyphs.bar[n].repeat(cells), *style));
            }
            let took = Value::Uint((b.secs * 1e6) as u64);
            let took = cell(&took, Kind::Micros, &self.form).into_owned();
            line.push((format!(" {}", msg!("{} busy sending", took)), theme.text));
            self.out.push(line);
            let mut shares: Vec<String> = parts
                .iter()
                .filter(|(share, ..)| *share >= 0.005)
                .map(|(share, what, _)| format!("{what} {:.0}%", share * 100.0))
                .collect();
            if span > b.secs {
                shares.push(msg!("idle {}% of the time", format!("{:.0}", (1.0 - b.secs / span) * 100.0)));
            }
            self.row("", &shares.join(", "));
        }
        if app == Some(true) {
            self.text(tr("application-limited (app_limited): the sender had no data queued"), theme.dim);
        }
    }

    /// Adds the MPTCP connection and its subflows.
    pub(super) fn multipath(&mut self, row: usize) {
        let found = subflows(self.snap, row);
        let multi = self.snap.socket(row).proto == Proto::Mptcp;
        if found.is_empty() && !multi {
            return;
        }
        let theme = self.app.theme;
        self.section(if multi { tr("subflows") } else { tr("MPTCP connection and other subflows") });
        if found.is_empty() {
            self.text(tr("the current filter excludes TCP sockets: add or proto:tcp"), theme.dim);
        }
        for other in found.into_iter().take(16) {
            let s = self.snap.socket(other);
            let text = |e| self.snap.end_text(s, e);
            let ends = format!(
                "{} {} {} {}",
                s.proto.name(),
                text(&s.local),
                self.app.glyphs.arrow,
                text(&s.remote)
            );
            let mut line: Pieces =
                vec![(ends, theme.text), (format!("  {}", s.state.name()), theme.state(s.state))];
            let rates = self.snap.rates(other);
            if let (Some(rx), Some(tx)) = (rates.rx, rates.tx) {
                line.push((format!("  rx {rx:.0} B/s, tx {tx:.0} B/s"), theme.dim));
            }
            if let Some(letters) = self.snap.attrs(other).subflow().and_then(|f| f.letters()) {
                line.push((format!("  {letters}"), theme.faint));
            }
            self.out.push(line);
        }
    }
}

/// The other rows with the same MPTCP token in the same network namespace.
fn subflows(snap: &Snapshot, row: usize) -> Vec<usize> {
    let Some(token) = snap.attrs(row).mptcp_token() else { return vec![] };
    let netns = snap.socket(row).id.netns;
    let same = |r: &usize| {
        *r != row && snap.socket(*r).id.netns == netns && snap.attrs(*r).mptcp_token() == Some(token)
    };
    (0..snap.live).filter(same).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::State;
    use crate::model::attr;
    use crate::model::diag_attr::inet;
    use crate::testing::{row, snapshot};

    #[test]
    fn busy_time_is_split_into_shares() {
        assert_eq!(Busy::new(0, 0, 0), None);
        let b = Busy::new(10_000_000, 8_000_000, 500_000).unwrap();
        assert!((b.receiver - 0.8).abs() < 1e-9 && (b.network() - 0.15).abs() < 1e-9);
        assert!((b.secs - 10.0).abs() < 1e-9);
    }

    #[test]
    fn subflows_are_found_by_token() {
        let nest = |number: u16, inner: &[u8]| {
            let mut out = Vec::new();
            attr::push(&mut out, number, inner);
            out
        };
        let sub = |token: u32| nest(inet::ULP_INFO, &nest(3, &nest(2, &token.to_ne_bytes())));
        let whole = |token: u32| {
            let mut info = [0u8; 96];
            info[12..16].copy_from_slice(&token.to_ne_bytes());
            nest(inet::INFO, &info)
        };
        let raws = [whole(7), sub(7), sub(8), sub(7), whole(9)];
        let rows = raws.iter().enumerate().map(|(i, _)| {
            let proto = if matches!(i, 0 | 4) { Proto::Mptcp } else { Proto::Tcp };
            row(proto, State::Established, "10.0.0.4:443", "10.0.0.9:5000", &[])
        });
        let mut snap = snapshot(rows.collect(), vec![], &[]);
        for (i, raw) in raws.iter().enumerate() {
            let mut s = *snap.socket(i);
            snap.sample.push_attrs(&mut s, raw);
            snap.sample.sockets[i] = s;
        }
        assert_eq!(subflows(&snap, 0), [1, 3]);
        assert_eq!(subflows(&snap, 1), [0, 3]);
        assert!(subflows(&snap, 2).is_empty() && subflows(&snap, 4).is_empty());
    }
}
