//! Options the dashboard starts with.

use crate::explain::Lang;
use crate::filter::{Names, Saved};
use crate::format::Column;
use crate::format::Style as Format;
use crate::model::Services;
use crate::model::wants::ProtoSet;
use crate::table::{Grouping, TableId};
use crate::tui::keymap::Keymap;
use crate::tui::theme::{Color, Palette};
use crate::view::preset::{Presets, Session};
use crate::view::sort::SortKey;
use std::sync::Arc;
use std::time::Duration;

/// Order and grouping of a view at the start.
#[derive(Clone, Debug)]
pub struct StartView {
    /// Its table.
    pub table: TableId,
    /// Sort order; `None`: the default one.
    pub sort: Option<Vec<SortKey>>,
    /// Grouping; `None`: the default one.
    pub grouping: Option<Grouping>,
}

/// Options of the dashboard.
#[derive(Clone, Debug)]
pub struct Options {
    /// Time between polls.
    pub interval: Duration,
    /// Note in the status line if only part of the machine is read.
    pub only: Option<&'static str>,
    /// Filter text of the first view.
    pub filter: String,
    /// Initial message of the status line.
    pub status_message: Option<String>,
    /// Initial table or saved view.
    pub view: Option<String>,
    /// Order and grouping of a view, as flags state them.
    pub start: Option<StartView>,
    /// Saved views by name.
    pub views: Presets,
    /// Session to restore.
    pub session: Option<Session>,
    /// Show remote addresses by host name.
    pub names: bool,
    /// Protocols to read.
    pub protos: ProtoSet,
    /// Colour depth of the terminal.
    pub color: Color,
    /// Theme; `None`: chosen by the background of the terminal.
    pub palette: Option<Palette>,
    /// Background of the terminal, if known before it answers: red, green and blue.
    pub ground: Option<u32>,
    /// No gauges and sparklines, and the cursor on the selected line.
    pub calm: bool,
    /// The data is a recording: the time of the sample is shown instead of that it is live.
    pub recorded: bool,
    /// Show the details beside the table on a wide screen without being asked.
    pub side_details: bool,
    /// Read events in every view, not only in that of events.
    pub events: bool,
    /// Capture DNS questions in every view, not only in that of DNS.
    pub dns: bool,
    /// Draw with ASCII characters only.
    pub ascii: bool,
    /// Show numbers instead of names of ports and users.
    pub numeric: bool,
    /// Disable actions.
    pub read_only: bool,
    /// The rows are of other hosts.
    pub hosts: bool,
    /// Reason why the actions are disabled, if they are.
    pub read_only_by: &'static str,
    /// Language of explanations.
    pub lang: Lang,
    /// Service names that a filter may use for ports.
    pub services: Arc<Services>,
    /// Saved filters by name.
    pub saved: Saved,
    /// Filter history, oldest first.
    pub history: Vec<String>,
    /// Configured columns, by name of the table.
    pub columns: Vec<(String, Vec<&'static Column>)>,
    /// Key bindings.
    pub keymap: Keymap,
    /// First start: show the getting-started card.
    pub first: bool,
    /// Number of rows from which on a view is arranged in the background; `None`: never.
    pub background_above: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            only: None,
            filter: String::new(),
            status_message: None,
            view: None,
            start: None,
            views: Presets::new(),
            session: None,
            names: false,
            protos: ProtoSet::TCP_UDP,
            color: Color::True,
            palette: None,
            ground: Some(0),
            calm: false,
            recorded: false,
            side_details: false,
            events: false,
            dns: false,
            ascii: false,
            numeric: false,
            read_only: false,
            hosts: false,
            read_only_by: "--read-only",
            lang: Lang::En,
            services: Arc::clone(Services::well_known()),
            saved: Saved::new(),
            history: Vec::new(),
            columns: Vec::new(),
            keymap: Keymap::default(),
            first: false,
            background_above: None,
        }
    }
}

impl Options {
    /// Format of values on this screen.
    pub(crate) const fn format(&self) -> Format {
        Format { numeric: self.numeric, ascii: self.ascii }
    }

    /// Names that a filter may use.
    pub(crate) fn names(&self) -> Names<'_> {
        Names { services: &self.services, saved: &self.saved }
    }
}

impl Options {
    /// The key to show for a command; its name, as the palette takes it, where no key is bound.
    pub(crate) fn key_label(&self, command: &str) -> String {
        let label = self.keymap.label(command, self.ascii);
        if label.is_empty() { command.to_owned() } else { label }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_key_is_the_bound_one() {
        let changes = [("act".to_owned(), vec!["x".to_owned()]), ("group".to_owned(), vec![])];
        let keymap = Keymap::new(&changes.into_iter().collect()).unwrap();
        let options = Options { keymap, ..Options::default() };
        assert_eq!(options.key_label("act"), "x");
        assert_eq!(options.key_label("redo"), "U");
        assert_eq!(options.key_label("group"), "group", "no key: the name, as in the palette");
    }
}
