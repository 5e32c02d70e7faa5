//! The plan of `sockscope kill`.

use super::args::{Kill, List};
use super::error::UsageError;
use super::list_plan::{Inputs, ListPlan};
use crate::format::did_you_mean;
use crate::model::signal::{SIGNALS, SignalInfo};
use crate::table::SOCKETS;

/// A kill, checked.
#[derive(Clone, Debug)]
pub struct KillPlan {
    /// The sockets: filter and what must be read.
    pub list: ListPlan,
    /// Action.
    pub method: KillMethod,
    /// Do it without a question.
    pub yes: bool,
}

/// Action on the matching sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillMethod {
    /// Send their processes this signal.
    Signal(SignalInfo),
    /// Close the sockets themselves (`SOCK_DESTROY`).
    Close,
}

impl KillPlan {
    pub(super) fn new(kill: Kill, inputs: Inputs<'_>) -> Result<Self, UsageError> {
        let columns = Some("proto,state,local,remote,owners".to_owned());
        let list = List { filter: kill.filter, ss: kill.ss, columns, ..List::default() };
        let list = ListPlan::new(&SOCKETS, &list, inputs)?;
        if list.filter.is_everything() {
            let text = "kill: requires a filter, such as lport:8080 or 'state:close-wait nginx'";
            return Err(UsageError(text.to_owned()));
        }
        let method = match &kill.signal {
            _ if kill.close => KillMethod::Close,
            Some(word) => KillMethod::Signal(signal(word)?),
            None => KillMethod::Signal(SIGNALS[0]),
        };
        Ok(Self { list, method, yes: kill.yes })
    }
}

/// The signal of a name, with or without SIG, or of a number.
fn signal(word: &str) -> Result<SignalInfo, UsageError> {
    let name = word.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let bare = |s: &SignalInfo| s.name.trim_start_matches("SIG");
    let found = SIGNALS.iter().find(|s| bare(s) == name || s.number.to_string() == word);
    found.copied().ok_or_else(|| {
        let names: Vec<&str> = SIGNALS.iter().map(bare).collect();
        let near = did_you_mean::nearest(name, names.iter().copied());
        let near = near.map_or(String::new(), |n| format!(", did you mean {n:?}?"));
        UsageError(format!("--signal: invalid signal {word:?}: expected {}{near}", names.join(", ")))
    })
}

/// The arguments of `kill` with a signal written as a flag, as in kill(1): `-9`, `-KILL`.
pub(super) fn signal_flag(flag: &str) -> Option<String> {
    let word = flag.strip_prefix('-')?;
    let upper = word.chars().all(|c| c.is_ascii_uppercase()) && word.len() > 1;
    let number = word.bytes().all(|b| b.is_ascii_digit());
    ((upper || number) && signal(word).is_ok()).then(|| format!("--signal={word}"))
}
