//! Options the dashboard starts with.

use crate::explain::Lang;
use crate::filter::{Names, Saved};
use crate::format::Column;
use crate::format::Style as Format;
use crate::model::Services;
use crate::model::wants::ProtoSet;
use crate::tui::keymap::Keymap;
use crate::tui::theme::{Color, Palette};
use crate::view::preset::{Presets, Session};
use std::sync::Arc;
use std::time::Duration;

/// What the dashboard starts with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Time between polls.
    pub interval: Duration,
    /// What of the machine is read on purpose, where that is not all: it is said below.
    pub only: Option<&'static str>,
    /// Filter text of the first view.
    pub filter: String,
    /// A word to begin with.
    pub status_message: Option<String>,
    /// The table or the view to start with.
    pub view: Option<String>,
    /// Views by name.
    pub views: Presets,
    /// How it was left, to go on from there.
    pub session: Option<Session>,
    /// Names instead of far addresses.
    pub names: bool,
    /// Which protocols are read.
    pub protos: ProtoSet,
    /// How many colours.
    pub color: Color,
    /// Which colours; `None`: those that suit the terminal's background.
    pub palette: Option<Palette>,
    /// No characters beyond ASCII.
    pub ascii: bool,
    /// Numbers instead of names for ports and users.
    pub numeric: bool,
    /// Nothing can be ended or signalled.
    pub read_only: bool,
    /// The language of what is explained.
    pub lang: Lang,
    /// Names that a filter may write ports by.
    pub services: Arc<Services>,
    /// Filters by name.
    pub saved: Saved,
    /// Filters typed before, oldest first.
    pub history: Vec<String>,
    /// Columns of a table, by the table's name, where somebody chose them.
    pub columns: Vec<(String, Vec<&'static Column>)>,
    /// Which keys mean what.
    pub keymap: Keymap,
    /// It is started for the first time: the keys that matter are shown.
    pub first: bool,
    /// From so many rows on they are arranged elsewhere ([`Effect::Arrange`]); `None`: never.
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
            views: Presets::new(),
            session: None,
            names: false,
            protos: ProtoSet::TCP_UDP,
            color: Color::True,
            palette: None,
            ascii: false,
            numeric: false,
            read_only: false,
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
