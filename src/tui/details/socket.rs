//! Details of a socket: endpoints, state, findings, owners, the peer socket.

use super::Builder;
use crate::diagnose::finding::socket_diagnoses;
use crate::format::{Value, age};
use crate::model::lang::{noop, tr};
use crate::model::sample::EventKind;
use crate::model::snapshot::HostPeer;
use crate::model::text::escape;
use crate::model::{Missing, SocketId, State};
use crate::msg;
use crate::tui::canvas::width;

impl Builder<'_> {
    pub(super) fn socket(&mut self, row: usize) {
        let theme = self.app.theme;
        let (snap, app) = (self.snap, self.app);
        let s = snap.socket(row);
        let table = app.view_state().view.table;
        let named = |n: &str| table.column(n).map_or_else(String::new, |c| self.value(c, row));
        let (local, remote) = (named("local"), named("remote"));
        let title = if remote == "-" {
            format!("{} {local}", s.proto.name())
        } else {
            format!("{} {local} {} {remote}", s.proto.name(), app.glyphs.arrow)
        };
        let f = &snap.facts[row];
        self.title(&title);
        let mut state = vec![(s.state.name().to_owned(), theme.bold(theme.state(s.state)))];
        if let Some(closed_ns) = snap.closed_ns(row) {
            let ago = snap.sample.at.boot_ns.saturating_sub(closed_ns) as f64 / 1e9;
            state.push((format!("  {}", msg!("closed {} ago", age(ago))), theme.warn));
        } else if let Some(column) = table.column("state_age_s") {
            let text = match column.value(snap, row) {
                Value::AtLeast(secs) => format!("  {}", msg!("for at least {}", age(secs))),
                Value::Float(secs) => format!("  {}", msg!("for {}", age(secs))),
                _ => String::new(),
            };
            state.push((text, theme.dim));
        }
        let used: usize = state.iter().map(|(t, _)| usize::from(width(t))).sum();
        let meaning = tr(s.state.info().meaning);
        if used + 2 + usize::from(width(meaning)) <= self.width {
            state.push((format!("  {meaning}"), theme.dim));
            self.out.push(state);
        } else {
            self.out.push(state);
            self.text(meaning, theme.dim);
        }
        if row >= snap.live
            && let Some(end) = self.end_of_socket(s.id)
        {
            self.event_lifecycle(end);
        }
        self.findings(&socket_diagnoses(snap, row).collect::<Vec<_>>());
        if s.state == State::SynSent && row < snap.live {
            self.why_hint();
        }
        self.section(tr("owners"));
        let owners = snap.owners(row).to_vec();
        for o in &owners {
            let p = &snap.process(o).info;
            self.owner(
                &p.name(),
                p.pid,
                &o.fd().map_or_else(String::new, |fd| format!("fd {fd}")),
                p.uid,
                &p.cmdline,
            );
        }
        if let Some(o) = owners.first() {
            self.context(o.process);
        }
        if owners.is_empty() {
            if let Some(was) = snap.last_owner(row) {
                let text = msg!("was {}", format!("{} {} fd {}", was.comm, was.pid, was.fd));
                self.text(&text, theme.text);
            }
            let why = f.owner_missing.map_or(noop("unknown"), Missing::reason);
            self.text(
                tr(why),
                if f.owner_missing == Some(Missing::NotPermitted) { theme.warn } else { theme.dim },
            );
        }
    }

    /// Adds the owner of the peer socket, if it is on this host or on another one that is shown.
    pub(super) fn peer_socket(&mut self, row: usize) {
        if let Some(other) = self.snap.local_peer(row) {
            self.section(tr("peer socket on this host (o: go to it)"));
            self.owners_of(other);
        } else if let Some(peer) = self.snap.host_peers.get(row) {
            self.peer_on_host(&peer);
        }
    }

    /// Adds the other end on another host: state, queues, owners, and how it is known.
    fn peer_on_host(&mut self, peer: &HostPeer) {
        self.section(&msg!("peer socket on {} (o: go to it)", escape(&peer.snap.sample.host)));
        let mut there = Builder {
            app: self.app,
            snap: &peer.snap,
            form: self.form,
            width: self.width,
            compact: self.compact,
            out: std::mem::take(&mut self.out),
        };
        let theme = there.app.theme;
        let s = peer.snap.socket(peer.row);
        let known = match &peer.nat {
            Some(nat) => msg!("{}, through NAT on {}", tr(peer.certainty()), escape(nat)),
            None => tr(peer.certainty()).to_owned(),
        };
        let known_style = if peer.certain { theme.dim } else { theme.warn };
        there.out.push(vec![
            (s.state.name().to_owned(), theme.bold(theme.state(s.state))),
            (format!("  {known}"), known_style),
        ]);
        let table = there.app.view_state().view.table;
        let named = |n: &str| table.column(n).map_or_else(String::new, |c| there.value(c, peer.row));
        let ends = format!("{} {} {}", named("local"), there.app.glyphs.arrow, named("remote"));
        let queues = msg!("{} unread, {} not acknowledged", named("recv_q"), named("send_q"));
        there.text(&ends, theme.text);
        there.row(tr("queues"), &queues);
        there.owners_of(peer.row);
        self.out = there.out;
    }

    /// Adds the owners of a socket, or the reason why it has none.
    fn owners_of(&mut self, other: usize) {
        let owners = self.snap.owners(other).to_vec();
        for o in &owners {
            let p = &self.snap.process(o).info;
            let fd = o.fd().map_or_else(String::new, |fd| format!("fd {fd}"));
            self.owner(&p.name(), p.pid, &fd, p.uid, &p.cmdline);
        }
        if owners.is_empty() {
            let why = self.snap.facts[other].owner_missing.map_or(noop("unknown"), Missing::reason);
            self.text(tr(why), self.app.theme.dim);
        }
    }

    /// Row of the event with which a socket ended.
    fn end_of_socket(&self, id: SocketId) -> Option<usize> {
        let inode = self.snap.netns_inode(id.netns);
        self.snap.events.rows.iter().rposition(|r| {
            r.event.id.cookie == id.cookie
                && r.netns_inode == inode
                && matches!(r.event.kind, EventKind::Closed | EventKind::Failed)
        })
    }
}
