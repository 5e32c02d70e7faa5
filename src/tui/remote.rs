//! Rows of other hosts: their state, and refusals of what reads or changes this machine.

use super::app::App;
use crate::format::age;
use crate::model::lang::tr;
use crate::model::snapshot::RemoteHost;
use crate::model::text::escape;
use crate::msg;

/// Part of the dashboard that is of this machine alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Signals, closing sockets, raising limits.
    Action,
    /// Moments of the past.
    Past,
    /// Differences between two moments.
    Compare,
    /// Recording what is shown.
    Recording,
}

/// Reason why a part is not available, in one line; `None` if the rows are of this machine.
pub(crate) fn refused(app: &App, what: Refused) -> Option<String> {
    if !app.options.hosts {
        return None;
    }
    Some(match what {
        Refused::Action => match selected(app) {
            Some(host) => msg!("{}: actions are disabled on other hosts; run sockscope there", host),
            None => tr("actions are disabled on other hosts; run sockscope there").to_owned(),
        },
        Refused::Past => {
            tr("the past is not available with --host; sockscope record --host records it").to_owned()
        }
        Refused::Compare => {
            tr("moments are not compared with --host; sockscope record --host and diff do").to_owned()
        }
        Refused::Recording => tr("not recorded from here with --host: sockscope record --host").to_owned(),
    })
}

/// State of a host that is late, with its age: `gone 12s`.
pub(crate) fn state(host: &RemoteHost) -> String {
    format!("{} {}", tr(host.state.name()), age(host.age_s as f64))
}

/// Host of the selected row, or of the selected group if all of it is of one host.
fn selected(app: &App) -> Option<String> {
    let snap = app.snapshot.as_ref()?;
    let view_state = app.view_state();
    let mut hosts = view_state.selected_rows().iter().map(|r| snap.host_index(view_state.id(), *r as usize));
    let first = hosts.next()?;
    let host = snap.merged.as_ref()?.hosts.get(first)?;
    hosts.all(|host| host == first).then(|| escape(&host.name).into_owned())
}
