//! Command registry: name, keys, help and action of every command, once.
//!
//! Key bar, help, palette, [`super::keymap`], man page and reference are generated from it.

use super::event::{Action, Edit, FoldTo, Motion};
use super::key;
use super::past::{Searched, SeekTo};
use bitflags::bitflags;

/// The keyboard focus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    /// The table.
    Table,
    /// The filter while it is edited.
    Filter,
    /// The state bar.
    States,
    /// The list of sort columns.
    Sort,
    /// The help, or an explanation.
    Help,
    /// The list of columns to show.
    Columns,
    /// Another list.
    Pick,
    /// The name of a saved filter or view while it is edited.
    Name,
    /// The confirmation of an action.
    Confirm,
    /// The command palette.
    Palette,
    /// The search of the help while it is edited.
    Find,
    /// The list of differences.
    Differences,
    /// The list of alerts.
    Alerts,
    /// The answer to why a connection does not work.
    Why,
}

bitflags! {
    /// Set of [`Focus`] values, in their order.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct FocusSet: u16 {
        const TABLE = 1 << Focus::Table as u16;
        const FILTER = 1 << Focus::Filter as u16;
        const STATES = 1 << Focus::States as u16;
        const SORT = 1 << Focus::Sort as u16;
        const HELP = 1 << Focus::Help as u16;
        const COLUMNS = 1 << Focus::Columns as u16;
        const PICK = 1 << Focus::Pick as u16;
        const NAME = 1 << Focus::Name as u16;
        const CONFIRM = 1 << Focus::Confirm as u16;
        const PALETTE = 1 << Focus::Palette as u16;
        const FIND = 1 << Focus::Find as u16;
        const DIFFERENCES = 1 << Focus::Differences as u16;
        const ALERTS = 1 << Focus::Alerts as u16;
        const WHY = 1 << Focus::Why as u16;
        /// Focus in which lines can be scrolled.
        const SCROLL = Self::TABLE.bits() | Self::SORT.bits() | Self::HELP.bits() | Self::COLUMNS.bits()
            | Self::PICK.bits() | Self::CONFIRM.bits() | Self::DIFFERENCES.bits()
            | Self::ALERTS.bits() | Self::WHY.bits();
        /// Focus in which text is edited.
        const TEXT = Self::FILTER.bits() | Self::NAME.bits() | Self::PALETTE.bits() | Self::FIND.bits();
        /// Everywhere.
        const ALL = Self::MAIN.bits() | Self::SCROLL.bits() | Self::TEXT.bits();
        /// The views: the table or the state bar.
        const MAIN = Self::TABLE.bits() | Self::STATES.bits();
    }
}

impl Focus {
    /// Every focus.
    pub const ALL: [Self; 14] = [
        Self::Table,
        Self::Filter,
        Self::States,
        Self::Sort,
        Self::Help,
        Self::Columns,
        Self::Pick,
        Self::Name,
        Self::Confirm,
        Self::Palette,
        Self::Find,
        Self::Differences,
        Self::Alerts,
        Self::Why,
    ];

    const fn set(self) -> FocusSet {
        FocusSet::from_bits_truncate(1 << self as u16)
    }

    /// True if letters are text in this focus.
    pub const fn is_text(self) -> bool {
        FocusSet::TEXT.contains(self.set())
    }
}

/// Section of the help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Rows shown and their order.
    Filter,
    /// Views, details, explanations.
    Inspect,
    /// Motion.
    Navigate,
    /// Polling, marks, actions, the program itself.
    Control,
    /// Editing text.
    Edit,
}

impl Section {
    /// Its title.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Filter => "Filter and sort",
            Self::Inspect => "Inspect",
            Self::Navigate => "Navigate",
            Self::Control => "Control",
            Self::Edit => "Edit text",
        }
    }
}

/// One command.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    /// Its name: `group-next`.
    pub name: &'static str,
    /// Names of its keys: `q`, `ctrl-d`, `pgdn`; the first is the one to show.
    pub keys: &'static [&'static str],
    /// Focus in which it applies.
    focus: FocusSet,
    /// Section of the help.
    pub section: Section,
    /// One line of help.
    pub help: &'static str,
    /// A word or two for the key bar; empty: not in it.
    pub bar: &'static str,
    /// Order of precedence in the key bar: the highest are dropped first on a narrow screen.
    pub rank: u8,
    /// Its help.
    pub action: Action,
}

impl Command {
    /// True if it applies in this focus.
    pub const fn applies(&self, focus: Focus) -> bool {
        self.focus.intersects(focus.set())
    }

    /// True if both apply in a common focus.
    pub const fn overlaps(&self, other: &Self) -> bool {
        self.focus.intersects(other.focus)
    }

    /// Labels of its default keys, in ASCII.
    pub fn key_labels(&self) -> Vec<String> {
        self.keys.iter().filter_map(|k| key::parse(k)).map(|k| key::label(k, true)).collect()
    }
}

macro_rules! commands {
    ($($section:ident { $($name:literal [$($key:literal),+] $($focus:ident)|+, $bar:literal $rank:literal, $action:expr, $help:literal;)* })*) => {
        /// Every command, in the order of the help.
        pub const COMMANDS: &[Command] = &[$($(Command {
            name: $name, keys: &[$($key),+], focus: FocusSet::empty()$(.union(FocusSet::$focus))+,
            section: Section::$section, help: $help, bar: $bar, rank: $rank, action: $action,
        },)*)*];
    };
}

/// Former names of commands, accepted in `[keys]`: former name, current name.
pub(super) const FORMER_NAMES: &[(&str, &str)] = &[
    ("columns-turn", "columns-toggle"),
    ("other-end", "go-to-peer"),
    ("quit-at-once", "quit-now"),
    ("row-down", "down"),
    ("row-up", "up"),
    ("visit-back", "location-back"),
    ("visit-forward", "location-forward"),
];

/// Names that `[keys]` accepts: the current ones, then the former ones.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    COMMANDS.iter().map(|c| c.name).chain(FORMER_NAMES.iter().map(|(former, _)| *former))
}

/// Index in [`COMMANDS`] of the command with this name, current or former.
pub(super) fn index(name: &str) -> Option<usize> {
    let current =
        FORMER_NAMES.iter().find(|(former, _)| *former == name).map_or(name, |(_, current)| *current);
    COMMANDS.iter().position(|c| c.name == current)
}

commands! {
    Filter {
        "filter" ["/", "f3", "f4"] MAIN, "filter" 2, Action::Filter, "Filter as you type: nginx  :443  state:close-wait  fds>80%";
        "filter-keep" ["enter"] FILTER, "apply" 1, Action::AcceptFilter, "Apply the filter and return to the table";
        "filter-cancel" ["esc"] TEXT, "cancel" 2, Action::Back, "Cancel and restore the previous text";
        "palette" [":", "ctrl-p"] MAIN, "commands" 7, Action::Palette, "Command palette: commands, views, columns, saved filters, themes, explanations";
        "palette-choose" ["enter"] PALETTE, "run" 1, Action::Enter, "Run the selected entry";
        "palette-down" ["down", "ctrl-n", "tab"] PALETTE, "" 0, Action::Go(Motion::Lines(1)), "Next entry";
        "palette-up" ["up", "ctrl-p", "shift-tab"] PALETTE, "" 0, Action::Go(Motion::Lines(-1)), "Previous entry";
        "undo" ["u"] TABLE, "undo" 14, Action::Undo(false), "Undo the last change of filter, grouping, sort order or columns";
        "redo" ["U", "ctrl-r"] TABLE, "" 0, Action::Undo(true), "Redo the change undone last";
        "filter-clear" ["x"] TABLE, "" 0, Action::ClearFilter, "Clear the filter";
        "complete" ["tab"] FILTER, "complete" 3, Action::Complete(1), "Complete the word at the cursor; press again for the next match";
        "complete-back" ["shift-tab"] FILTER, "" 0, Action::Complete(-1), "Previous completion";
        "history-back" ["up", "ctrl-p"] FILTER, "history" 5, Action::FilterHistory(-1), "Previous filter in the history";
        "history-forward" ["down", "ctrl-n"] FILTER, "" 0, Action::FilterHistory(1), "Next filter in the history";
        "save" ["ctrl-s"] FILTER, "save" 6, Action::SaveAs, "Save the filter under a name; use it as @name";
        "save-name" ["enter"] NAME, "save" 1, Action::Enter, "Save under this name";
        "saved" ["@"] TABLE, "" 0, Action::SavedList, "Open a saved filter or view";
        "save-view" ["V"] TABLE, "" 0, Action::SaveView, "Save the view under a name: filter, grouping, sort order, columns";
        "by-cell" ["f"] TABLE, "" 0, Action::FilterByCell(true), "Filter by the selected cell: only rows with the same value";
        "not-by-cell" ["F"] TABLE, "" 0, Action::FilterByCell(false), "Exclude rows with the same value as the selected cell";
        "group" ["g"] TABLE, "group" 3, Action::Group(1), "Group by state, local endpoint, remote address or process, or not at all";
        "group-back" ["ctrl-g"] TABLE, "" 0, Action::Group(-1), "Previous grouping";
        "sort" ["s", "f6"] TABLE, "sort" 4, Action::SortList, "Choose the sort column; clicking a column title works too";
        "reverse" ["S"] TABLE | SORT, "reverse" 12, Action::Reverse, "Reverse the sort order";
        "columns" ["c", "f2"] TABLE, "columns" 11, Action::ColumnList, "Choose the columns: show, hide, move, reset";
        "columns-toggle" ["space", "enter"] COLUMNS, "show/hide" 1, Action::Enter, "Show or hide the column";
        "columns-up" ["K", "shift-up"] COLUMNS, "up" 2, Action::MoveColumn(-1), "Move the column left";
        "columns-down" ["J", "shift-down"] COLUMNS, "down" 3, Action::MoveColumn(1), "Move the column right";
        "columns-search" ["/"] COLUMNS, "search" 5, Action::SearchColumns, "Search for a column to show";
        "columns-reset" ["r"] COLUMNS, "reset" 4, Action::ResetColumns, "Restore the default columns";
        "choose" ["enter", "space"] PICK | ALERTS, "select" 1, Action::Enter, "Select this entry";
        "states" ["t"] TABLE, "states" 9, Action::FocusStates, "Select a state in the state bar to filter by; clicking one works too";
    }
    Inspect {
        "details" ["enter"] TABLE, "details" 1, Action::Enter, "Details of the selected row; on a group: expand or collapse it";
        "go-to-peer" ["o"] TABLE, "" 0, Action::GoToPeer, "Go to the peer socket, if it is on a shown host";
        "pane-larger" ["("] TABLE, "" 0, Action::ResizeDetails(1), "Enlarge the details pane; dragging its border works too";
        "pane-smaller" [")"] TABLE, "" 0, Action::ResizeDetails(-1), "Shrink the details pane";
        "details-down" ["]"] TABLE, "" 0, Action::ScrollDetailsHalf(1), "Scroll the details down half a page";
        "details-up" ["["] TABLE, "" 0, Action::ScrollDetailsHalf(-1), "Scroll the details up half a page";
        "details-lines-down" ["shift-down"] TABLE, "" 0, Action::ScrollDetails(3), "Scroll the details down a few lines";
        "details-lines-up" ["shift-up"] TABLE, "" 0, Action::ScrollDetails(-3), "Scroll the details up a few lines";
        "chart-span" ["C"] TABLE, "" 0, Action::ChartSpan, "Time span of the charts in the details: 1 minute, 5 minutes, 1 hour";
        "explain" ["e"] TABLE, "explain" 8, Action::Explain, "Explain the selected cell, state or field, and what to do about it";
        "why" ["W"] TABLE | ALERTS, "why" 2, Action::Why, "Why does this connection, port or process not work: its path, step by step";
        "why-explain" ["e"] WHY, "explain" 4, Action::Explain, "Explain the cause, and what to do about it";
        "why-refresh" ["r", "f5"] WHY, "read again" 2, Action::Refresh, "Read the path again";
        "why-copy" ["y"] WHY, "copy" 3, Action::CopyAnswer, "Copy the answer";
        "sockets" ["1"] MAIN, "" 0, Action::View(0), "Sockets";
        "ports" ["2"] MAIN, "" 0, Action::View(1), "Ports: listening endpoints, accept queues, clients";
        "processes" ["3"] MAIN, "" 0, Action::View(2), "Processes: file descriptors and their limits, sockets by state";
        "peers" ["4"] MAIN, "" 0, Action::View(3), "Peers: remote addresses";
        "limits" ["5"] MAIN, "" 0, Action::View(4), "Limits: usage, growth, time until full";
        "forwards" ["6"] MAIN, "" 0, Action::View(5), "Forwarding: host endpoint, NAT rule or proxy, target, backend";
        "map" ["7"] MAIN, "" 0, Action::View(6), "Map: who talks to whom, with connections and rates";
        "events" ["8"] MAIN, "" 0, Action::View(7), "Events: connections opened, accepted, closed and failed, also between two polls";
        "dns" ["9"] MAIN, "" 0, Action::View(8), "DNS: questions, answers and latency by process; captured while this view is open";
        "names" ["n"] TABLE, "" 0, Action::ToggleNames, "Resolve remote addresses (DNS); press again to show addresses";
        "alerts" ["!"] MAIN, "" 0, Action::AlertList, "Alerts: limits nearly or already reached; Enter opens one";
        "location-back" ["alt-left", "ctrl-o"] TABLE, "" 0, Action::Navigate(-1), "Back to the previous location (view and row)";
        "location-forward" ["alt-right"] TABLE, "" 0, Action::Navigate(1), "Forward to the next location";
        "next-view" ["tab"] MAIN, "view" 7, Action::CycleView(1), "Next view";
        "previous-view" ["shift-tab"] MAIN, "" 0, Action::CycleView(-1), "Previous view";
    }
    Navigate {
        "down" ["down", "j"] SCROLL, "" 0, Action::Go(Motion::Lines(1)), "One line down";
        "up" ["up", "k"] SCROLL, "" 0, Action::Go(Motion::Lines(-1)), "One line up";
        "page-down" ["pgdn", "ctrl-f"] SCROLL, "" 0, Action::Go(Motion::Pages(1)), "One page down";
        "page-up" ["pgup", "ctrl-b"] SCROLL, "" 0, Action::Go(Motion::Pages(-1)), "One page up";
        "half-down" ["ctrl-d"] SCROLL, "" 0, Action::Go(Motion::Halves(1)), "Half a page down";
        "half-up" ["ctrl-u"] SCROLL, "" 0, Action::Go(Motion::Halves(-1)), "Half a page up";
        "top" ["home"] SCROLL, "" 0, Action::Go(Motion::Top), "First line";
        "bottom" ["end", "G"] SCROLL, "" 0, Action::Go(Motion::Bottom), "Last line";
        "next-group" ["}"] TABLE, "" 0, Action::Go(Motion::Group(1)), "Next group";
        "previous-group" ["{"] TABLE, "" 0, Action::Go(Motion::Group(-1)), "Previous group";
        "cell-right" ["shift-right", "alt-l"] TABLE, "" 0, Action::MoveCell(1), "Select the next cell of the row";
        "cell-left" ["shift-left", "alt-h"] TABLE, "" 0, Action::MoveCell(-1), "Select the previous cell of the row";
        "open" ["right", "l"] TABLE, "" 0, Action::Fold(FoldTo::Open), "Expand the group";
        "close" ["left", "h"] TABLE, "" 0, Action::Fold(FoldTo::Closed), "Collapse the group, or go to the parent group";
        "fold-all" ["z"] TABLE, "" 0, Action::Fold(FoldTo::All), "Collapse or expand all groups";
        "state-right" ["right", "l"] STATES, "move" 2, Action::Go(Motion::Lines(1)), "Next state";
        "state-left" ["left", "h"] STATES, "" 0, Action::Go(Motion::Lines(-1)), "Previous state";
        "state-filter" ["enter", "space"] STATES, "filter" 1, Action::Enter, "Show only sockets in this state; press again for all";
        "sort-choose" ["enter", "space"] SORT, "sort" 1, Action::Enter, "Sort by this column; press again to reverse";
    }
    Control {
        "pause" ["space"] TABLE, "pause" 6, Action::Pause, "Pause the display; polling continues and the header counts changes";
        "past-sample" [","] TABLE, "" 0, Action::Seek(SeekTo::Samples(-1)), "Show the sample before: the last minutes are kept";
        "past-sample-next" ["."] TABLE, "" 0, Action::Seek(SeekTo::Samples(1)), "Show the next sample; after the last one live again";
        "past-minute" ["<"] TABLE, "" 0, Action::Seek(SeekTo::Seconds(-60)), "Show the moment a minute before";
        "past-minute-next" [">"] TABLE, "" 0, Action::Seek(SeekTo::Seconds(60)), "Show the moment a minute later";
        "past-alert" ["A"] TABLE, "" 0, Action::Seek(SeekTo::Begin(Searched::Alert, false)), "Show the previous moment at which an alert began";
        "past-alert-next" ["a"] TABLE, "" 0, Action::Seek(SeekTo::Begin(Searched::Alert, true)), "Show the next moment at which an alert began";
        "past-finding" ["B"] TABLE, "" 0, Action::Seek(SeekTo::Begin(Searched::Finding, false)), "Show the previous moment at which a finding began";
        "past-finding-next" ["b"] TABLE, "" 0, Action::Seek(SeekTo::Begin(Searched::Finding, true)), "Show the next moment at which a finding began";
        "past-match" ["#"] TABLE, "" 0, Action::Seek(SeekTo::Begin(Searched::Match, false)), "Show the previous moment at which a row began to match the filter";
        "past-match-next" ["*"] TABLE, "" 0, Action::Seek(SeekTo::Begin(Searched::Match, true)), "Show the next moment at which a row began to match the filter";
        "compare-write" ["w"] DIFFERENCES, "export" 2, Action::ExportList, "Export the differences: table, CSV, JSON";
        "compare-open" ["enter", "space"] DIFFERENCES, "show" 1, Action::Enter, "Show the rows of this difference; of what is gone in the past";
        "compare" ["D"] TABLE, "" 0, Action::Compare, "Mark this moment; at another one list the differences, at the same one unmark it";
        "live" ["R"] TABLE, "" 0, Action::Live, "Return from the past to what is live";
        "record" ["ctrl-t"] TABLE, "" 0, Action::ToggleRecording, "Record what is polled to files, as sockscope record; press again to stop";
        "faster" ["+", "="] TABLE, "" 0, Action::ChangeInterval(-1), "Poll more often";
        "slower" ["-"] TABLE, "" 0, Action::ChangeInterval(1), "Poll less often";
        "refresh" ["r", "f5"] TABLE, "" 0, Action::Refresh, "Poll now";
        "mark" ["m"] TABLE, "mark" 13, Action::Mark, "Mark or unmark the row; K acts on all marked rows";
        "mark-all" ["M"] TABLE, "" 0, Action::MarkAll, "Mark all rows that match the filter, or unmark all";
        "mark-range" ["v"] TABLE, "" 0, Action::MarkRange, "Mark all rows from the last mark to here";
        "mouse" ["y"] TABLE, "" 0, Action::ToggleMouse, "Turn mouse capture off to select text with the terminal, and on again";
        "act" ["K", "f9"] TABLE, "actions" 9, Action::ActionList, "Close sockets, send signals, copy; every change asks for confirmation";
        "write" ["w"] TABLE, "" 0, Action::ExportList, "Export the rows (or the marked ones) or the screen: table, CSV, JSON, SVG";
        "raise" ["L"] TABLE, "" 0, Action::RaiseFdLimit, "Raise the fd limit of the selected process";
        "confirm" ["y"] CONFIRM, "confirm" 1, Action::Confirm, "Confirm the action";
        "redraw" ["ctrl-l"] ALL, "" 0, Action::Redraw, "Redraw the screen";
        "help" ["?", "f1"] MAIN | SORT, "help" 5, Action::Help, "Help";
        "find" ["/"] HELP, "search" 2, Action::Find, "Search the help";
        "find-keep" ["enter"] FIND, "done" 1, Action::Enter, "Show the matches";
        "back" ["esc"] MAIN | SORT | HELP | COLUMNS | PICK | CONFIRM | DIFFERENCES | ALERTS | WHY, "back" 3, Action::Back, "Back: close what is open, then clear the marks, then the filter";
        "suspend" ["ctrl-z"] ALL, "" 0, Action::Suspend, "Suspend the program (fg resumes it)";
        "close-overlay" ["q", "?"] HELP, "close" 1, Action::Back, "Close the help";
        "close-answer" ["q", "W"] WHY, "close" 1, Action::Back, "Close the answer";
        "close-list" ["q", "c", "n"] COLUMNS | PICK | CONFIRM | DIFFERENCES | ALERTS, "close" 5, Action::Back, "Close the list";
        "quit" ["q", "f10"] MAIN | SORT, "quit" 0, Action::Quit, "Quit";
        "quit-now" ["ctrl-c"] ALL, "" 0, Action::Quit, "Quit from anywhere";
    }
    Edit {
        "left" ["left", "ctrl-b"] TEXT, "" 0, Action::Edit(Edit::Left), "Cursor left";
        "right" ["right", "ctrl-f"] TEXT, "" 0, Action::Edit(Edit::Right), "Cursor right";
        "word-left" ["ctrl-left", "alt-b"] TEXT, "" 0, Action::Edit(Edit::WordLeft), "Cursor to the previous word";
        "word-right" ["ctrl-right", "alt-f"] TEXT, "" 0, Action::Edit(Edit::WordRight), "Cursor to the end of the next word";
        "start" ["home", "ctrl-a"] TEXT, "" 0, Action::Edit(Edit::Start), "Cursor to the start";
        "end" ["end", "ctrl-e"] TEXT, "" 0, Action::Edit(Edit::End), "Cursor to the end";
        "backspace" ["backspace", "ctrl-h"] TEXT, "" 0, Action::Edit(Edit::Backspace), "Delete the character before the cursor";
        "delete" ["delete", "ctrl-d"] TEXT, "" 0, Action::Edit(Edit::Delete), "Delete the character at the cursor";
        "delete-word" ["ctrl-w"] TEXT, "" 0, Action::Edit(Edit::DeleteWord), "Delete the word before the cursor";
        "delete-to-start" ["ctrl-u"] TEXT, "clear" 4, Action::Edit(Edit::DeleteToStart), "Delete to the start of the line";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_unambiguous_in_every_focus() {
        for focus in Focus::ALL {
            let mut seen = Vec::new();
            for c in COMMANDS.iter().filter(|c| c.applies(focus)) {
                for k in c.keys {
                    assert!(!seen.contains(k), "{k} twice in {focus:?}, again for {}", c.name);
                    seen.push(k);
                }
            }
        }
    }

    #[test]
    fn commands_have_unique_names_and_one_line_of_help() {
        for (i, c) in COMMANDS.iter().enumerate() {
            assert!(COMMANDS[..i].iter().all(|o| o.name != c.name), "{} twice", c.name);
            assert!(!c.keys.is_empty() && !c.help.is_empty() && !c.focus.is_empty(), "{}", c.name);
            assert!(c.name.chars().all(|ch| ch.is_ascii_lowercase() || ch == '-'), "{}", c.name);
            assert!(c.help.len() <= 90, "{}: one line", c.name);
        }
        for (former, current) in FORMER_NAMES {
            assert!(COMMANDS.iter().any(|c| c.name == *current), "{current} exists");
            assert!(COMMANDS.iter().all(|c| c.name != *former), "{former} is not a current name");
        }
    }

    #[test]
    fn default_keys_can_be_parsed_and_typed() {
        for name in COMMANDS.iter().flat_map(|c| c.keys) {
            let event = crate::tui::key_script::key(name);
            assert_eq!(Some(key::from_event(&event)), key::parse(name), "{name}");
        }
    }
}
