//! The line of several hosts: how many are in which state, and which of them are late, with age and reason.

use crate::format::thousands as count;
use crate::model::lang::tr;
use crate::model::snapshot::{HostState, RemoteHost};
use crate::msg;
use crate::tui::app::App;
use crate::tui::canvas::{Canvas, width};
use crate::tui::remote::state;
use ratatui::layout::Rect;
use ratatui::style::Style;
use std::cmp::Reverse;

/// States in the order of the line.
const STATES: [HostState; 5] =
    [HostState::Up, HostState::Connecting, HostState::Slow, HostState::Refused, HostState::Gone];

fn style(app: &App, state: HostState) -> Style {
    match state {
        HostState::Up => app.theme.good,
        HostState::Connecting => app.theme.dim,
        HostState::Slow => app.theme.warn,
        HostState::Refused | HostState::Gone => app.theme.bad,
    }
}

/// Draws the line.
pub(crate) fn draw(app: &App, canvas: &mut Canvas<'_>, area: Rect) {
    let Some(merged) = app.snapshot.as_ref().and_then(|s| s.merged.as_ref()).filter(|_| area.height > 0)
    else {
        return;
    };
    let (theme, y, end) = (app.theme, area.y, area.right().saturating_sub(1));
    let mut x = canvas.put(area.x + 1, y, end.saturating_sub(area.x + 1), tr("hosts"), theme.dim) + 1;
    for one in STATES {
        let n = merged.hosts.iter().filter(|h| h.state == one).count();
        if n > 0 {
            let text = format!("{} {}", count(n as u64), tr(one.name()));
            x = canvas.put(x + 1, y, end.saturating_sub(x + 1), &text, style(app, one)) + 1;
        }
    }
    let mut late: Vec<&RemoteHost> = merged.hosts.iter().filter(|h| h.is_late()).collect();
    // The worst first: it is named with the reason on any screen.
    late.sort_by_key(|h| (Reverse(h.state), Reverse(h.age_s)));
    for (i, host) in late.iter().enumerate() {
        let room = end.saturating_sub(x + 2);
        let mut text = format!("{}: {}", host.name, state(host));
        if !host.reason.is_empty() && (i == 0 || width(&text) + width(&host.reason) + 2 <= room) {
            text = format!("{text}, {}", host.reason);
        }
        // Of further ones only how many.
        if i > 0 && width(&text) > room {
            canvas.put(x + 2, y, room, &msg!("{} more", count((late.len() - i) as u64)), theme.dim);
            return;
        }
        x = canvas.put(x + 2, y, room, &text, style(app, host.state));
    }
}
