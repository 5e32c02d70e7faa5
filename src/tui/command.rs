//! The command list: every key of the dashboard, once.
//!
//! Key bar, help overlay and [`super::keymap`] are made from it.

use super::event::{Action, Edit, FoldTo, Motion};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Where keys go: what has the focus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    /// The table.
    Table,
    /// The filter while it is typed.
    Filter,
    /// The state strip.
    States,
    /// The list of columns to sort by.
    Sort,
    /// The help.
    Help,
    /// The list of columns to show.
    Columns,
    /// A list to choose one line of.
    Pick,
    /// The name of a filter while it is typed.
    Name,
    /// The question before something is ended.
    Confirm,
    /// The palette of everything that can be done.
    Palette,
    /// What to find in the help while it is typed.
    Find,
}

impl Focus {
    /// All of them.
    pub const ALL: [Self; 11] = [
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
    ];

    const fn bit(self) -> u16 {
        1 << self as u8
    }

    /// Whether letters are text there.
    pub const fn is_text(self) -> bool {
        matches!(self, Self::Filter | Self::Name | Self::Palette | Self::Find)
    }
}

/// One command.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    /// Its name: `group-next`.
    pub name: &'static str,
    /// Its keys: `q`, `ctrl-d`, `pgdn`; the first is the one to show.
    pub keys: &'static [&'static str],
    /// Where it applies: bits of [`Focus`].
    places: u16,
    /// Heading in the help.
    pub section: &'static str,
    /// One line.
    pub help: &'static str,
    /// A word or two for the key bar; empty: not in it.
    pub bar: &'static str,
    /// Which of the bar's go first when it is narrow; the least stay.
    pub rank: u8,
    /// What it does.
    pub action: Action,
}

impl Command {
    /// Whether it applies there.
    pub const fn applies(&self, focus: Focus) -> bool {
        self.places & focus.bit() != 0
    }

    /// Whether both apply in some focus.
    pub const fn meets(&self, other: &Self) -> bool {
        self.places & other.places != 0
    }
}

const T: u16 = Focus::Table.bit();
const F: u16 = Focus::Filter.bit();
const P: u16 = Focus::States.bit();
const S: u16 = Focus::Sort.bit();
const H: u16 = Focus::Help.bit();
const C: u16 = Focus::Columns.bit();
const K: u16 = Focus::Pick.bit();
const N: u16 = Focus::Name.bit();
const LISTS: u16 = T | S | H | C | K;
const Y: u16 = Focus::Confirm.bit();
const A: u16 = Focus::Palette.bit();
const W: u16 = Focus::Find.bit();
const LINES: u16 = F | N | A | W;
const ALL: u16 = T | F | P | S | H | C | K | N | Y | A | W;

macro_rules! commands {
    ($($section:literal { $($name:literal [$($key:literal),+] $places:expr, $bar:literal $rank:literal, $action:expr, $help:literal;)* })*) => {
        /// Every command, in the order of the help.
        pub const COMMANDS: &[Command] = &[$($(Command {
            name: $name, keys: &[$($key),+], places: $places, section: $section, help: $help,
            bar: $bar, rank: $rank, action: $action,
        },)*)*];
    };
}

commands! {
    "Find" {
        "filter" ["/"] T | P, "filter" 2, Action::Filter, "Filter live as you type: nginx, :443, state:close-wait, fds>80%";
        "filter-keep" ["enter"] F, "keep" 1, Action::AcceptFilter, "Keep the filter and go back to the table";
        "filter-cancel" ["esc"] LINES, "cancel" 2, Action::Back, "Put back what stood there before";
        "palette" [":", "ctrl-p"] T | P, "find" 7, Action::Palette, "Find any command, view, column, saved filter or theme by a few letters";
        "palette-choose" ["enter"] A, "do it" 1, Action::Enter, "Do what the line says";
        "palette-down" ["down", "ctrl-n", "tab"] A, "" 0, Action::Go(Motion::Lines(1)), "The line after";
        "palette-up" ["up", "ctrl-p", "shift-tab"] A, "" 0, Action::Go(Motion::Lines(-1)), "The line before";
        "undo" ["u"] T, "undo" 14, Action::Undo(false), "Undo the last change of filter, groups, order or columns";
        "redo" ["U", "ctrl-r"] T, "" 0, Action::Undo(true), "Do it again";
        "filter-clear" ["x"] T, "" 0, Action::ClearFilter, "Drop the filter";
        "complete" ["tab"] F, "complete" 3, Action::Complete(1), "Complete the word at the cursor; again: the next that fits";
        "complete-back" ["shift-tab"] F, "" 0, Action::Complete(-1), "The completion before";
        "history-back" ["up", "ctrl-p"] F, "history" 5, Action::FilterHistory(-1), "The filter typed before";
        "history-forward" ["down", "ctrl-n"] F, "" 0, Action::FilterHistory(1), "The filter typed after";
        "save" ["ctrl-s"] F, "save" 6, Action::SaveAs, "Save the filter under a name; @name uses it";
        "save-name" ["enter"] N, "save" 1, Action::Enter, "Save under this name";
        "saved" ["@"] T, "" 0, Action::SavedList, "Choose a saved filter or view";
        "save-view" ["V"] T, "" 0, Action::SaveView, "Save the whole view under a name: filter, groups, order, columns";
        "by-cell" ["f"] T, "" 0, Action::FilterByCell(true), "Filter by the cell at the cursor: only rows that say the same";
        "not-by-cell" ["F"] T, "" 0, Action::FilterByCell(false), "Filter by the cell: without the rows that say the same";
        "group" ["g"] T, "group" 3, Action::Group(1), "Group by state, local endpoint, remote address, process, not at all";
        "group-back" ["G"] T, "" 0, Action::Group(-1), "The grouping before";
        "sort" ["s"] T, "sort" 4, Action::SortList, "Choose the column to sort by; a click on a column's title does too";
        "reverse" ["S"] T | S, "reverse" 12, Action::Reverse, "Turn the order round";
        "columns" ["c"] T, "columns" 11, Action::ColumnList, "Choose the columns: show, hide, move, reset";
        "columns-turn" ["space", "enter"] C, "show or hide" 1, Action::Enter, "Show or hide the column";
        "columns-up" ["K", "shift-up"] C, "up" 2, Action::MoveColumn(-1), "Move the column to the left";
        "columns-down" ["J", "shift-down"] C, "down" 3, Action::MoveColumn(1), "Move the column to the right";
        "columns-reset" ["r"] C, "reset" 4, Action::ResetColumns, "Show the usual columns again";
        "choose" ["enter", "space"] K, "choose" 1, Action::Enter, "Take this line";
        "states" ["t"] T, "states" 9, Action::FocusStates, "Move in the state strip and filter to a state; a click there does too";
    }
    "Look" {
        "details" ["enter"] T, "details" 1, Action::Enter, "Everything known of the selected row; on a group, open or close it";
        "other-end" ["o"] T, "" 0, Action::GoToPeer, "To the other end of the connection, where that is on this machine";
        "pane-larger" ["("] T, "" 0, Action::ResizeDetails(1), "Make the details larger; dragging their border does too";
        "pane-smaller" [")"] T, "" 0, Action::ResizeDetails(-1), "Make the details smaller";
        "details-down" ["]"] T, "" 0, Action::ScrollDetailsHalf(1), "Scroll the details half their height down";
        "details-up" ["["] T, "" 0, Action::ScrollDetailsHalf(-1), "Scroll the details half their height up";
        "details-lines-down" ["shift-down"] T, "" 0, Action::ScrollDetails(3), "Scroll the details a few lines down";
        "details-lines-up" ["shift-up"] T, "" 0, Action::ScrollDetails(-3), "Scroll the details a few lines up";
        "explain" ["e"] T, "explain" 8, Action::Explain, "What the cell, the state or the field at the cursor is, and what to do about it";
        "sockets" ["1"] T | P, "" 0, Action::View(0), "Sockets";
        "ports" ["2"] T | P, "" 0, Action::View(1), "Ports: served endpoints, their accept queues and clients";
        "processes" ["3"] T | P, "" 0, Action::View(2), "Processes: descriptors against limits, sockets by state";
        "peers" ["4"] T | P, "" 0, Action::View(3), "Peers: remote addresses";
        "names" ["n"] T, "" 0, Action::ToggleNames, "Names instead of far addresses (reverse DNS), and back";
        "limits" ["5"] T | P, "" 0, Action::View(4), "Limits: every ceiling, how full, how fast it fills, when it is full";
        "forwards" ["6"] T | P, "" 0, Action::View(5), "Forwarding: host endpoint, rule or proxy, target, who answers there";
        "alerts" ["!"] T | P, "" 0, Action::AlertList, "What is about to run out; Enter goes there";
        "visit-back" ["alt-left", "ctrl-o"] T, "" 0, Action::Navigate(-1), "Back to the place before: another view, the near end";
        "visit-forward" ["alt-right"] T, "" 0, Action::Navigate(1), "Forward again";
        "next-view" ["tab"] T | P, "view" 7, Action::CycleView(1), "The next view";
        "previous-view" ["shift-tab"] T | P, "" 0, Action::CycleView(-1), "The view before";
    }
    "Move" {
        "down" ["down", "j"] LISTS | Y, "" 0, Action::Go(Motion::Lines(1)), "One line down";
        "up" ["up", "k"] LISTS | Y, "" 0, Action::Go(Motion::Lines(-1)), "One line up";
        "page-down" ["pgdn", "ctrl-f"] LISTS | Y, "" 0, Action::Go(Motion::Pages(1)), "One screen down";
        "page-up" ["pgup", "ctrl-b"] LISTS | Y, "" 0, Action::Go(Motion::Pages(-1)), "One screen up";
        "half-down" ["ctrl-d"] LISTS | Y, "" 0, Action::Go(Motion::Halves(1)), "Half a screen down";
        "half-up" ["ctrl-u"] LISTS | Y, "" 0, Action::Go(Motion::Halves(-1)), "Half a screen up";
        "top" ["home", "<"] LISTS | Y, "" 0, Action::Go(Motion::Top), "To the first line";
        "bottom" ["end", ">"] LISTS | Y, "" 0, Action::Go(Motion::Bottom), "To the last line";
        "next-group" ["}"] T, "" 0, Action::Go(Motion::Group(1)), "To the next group";
        "previous-group" ["{"] T, "" 0, Action::Go(Motion::Group(-1)), "To the group before";
        "cell-right" [".", "shift-right"] T, "" 0, Action::MoveCell(1), "To the next cell of the row";
        "cell-left" [",", "shift-left"] T, "" 0, Action::MoveCell(-1), "To the cell before";
        "open" ["right", "l"] T, "" 0, Action::Fold(FoldTo::Open), "Open the group";
        "close" ["left", "h"] T, "" 0, Action::Fold(FoldTo::Closed), "Close the group, or go to the one around this row";
        "fold-all" ["z"] T, "" 0, Action::Fold(FoldTo::All), "Close every group, or open them all again";
        "state-right" ["right", "l"] P, "move" 2, Action::Go(Motion::Lines(1)), "The next state";
        "state-left" ["left", "h"] P, "" 0, Action::Go(Motion::Lines(-1)), "The state before";
        "state-filter" ["enter", "space"] P, "filter to it" 1, Action::Enter, "Only sockets in this state; once more: all";
        "sort-choose" ["enter", "space"] S, "sort" 1, Action::Enter, "Sort by this column; once more turns the order round";
    }
    "Run" {
        "pause" ["space"] T, "pause" 6, Action::Pause, "Freeze what is on the screen while the world goes on; the header counts what changed";
        "faster" ["+", "="] T, "" 0, Action::ChangeInterval(-1), "Poll more often";
        "slower" ["-"] T, "" 0, Action::ChangeInterval(1), "Poll less often";
        "refresh" ["r"] T, "" 0, Action::Refresh, "Poll now";
        "mark" ["m"] T, "mark" 13, Action::Mark, "Mark the row, or take its mark away; K acts on all that are marked";
        "mark-all" ["M"] T, "" 0, Action::MarkAll, "Mark every row that the filter lets through, or take all marks away";
        "mark-range" ["v"] T, "" 0, Action::MarkRange, "Mark all from the last mark to here";
        "mouse" ["y"] T, "" 0, Action::ToggleMouse, "Leave the mouse to the terminal, so that its own selection works, and back";
        "act" ["K"] T, "act" 9, Action::ActionList, "End a socket or those of a group, signal, copy; nothing is done without a question";
        "write" ["w"] T, "" 0, Action::ExportList, "Write the rows (or those marked) or the screen to a file: table, CSV, JSON, SVG";
        "raise" ["L"] T, "" 0, Action::RaiseFdLimit, "Raise the descriptor limit of the process at the cursor";
        "confirm" ["y"] Y, "do it" 1, Action::Confirm, "Do what is asked";
        "redraw" ["ctrl-l"] ALL, "" 0, Action::Redraw, "Draw the screen anew";
        "help" ["?", "f1"] T | P | S, "help" 5, Action::Help, "This help";
        "find" ["/"] H, "find" 2, Action::Find, "Find in the help";
        "find-keep" ["enter"] W, "keep" 1, Action::Enter, "Show what was found";
        "back" ["esc"] T | P | S | H | C | K | Y, "back" 3, Action::Back, "One step back: close what is open, then drop the filter";
        "suspend" ["ctrl-z"] ALL, "" 0, Action::Suspend, "Stop the program, as in any shell (fg brings it back)";
        "close-overlay" ["q", "?"] H, "close" 1, Action::Back, "Close the help";
        "close-list" ["q", "c", "n"] C | K | Y, "close" 5, Action::Back, "Close the list";
        "quit" ["q"] T | P | S, "quit" 0, Action::Quit, "Quit";
        "quit-at-once" ["ctrl-c"] ALL, "" 0, Action::Quit, "Quit, from anywhere";
    }
    "Edit" {
        "left" ["left", "ctrl-b"] LINES, "" 0, Action::Edit(Edit::Left), "Cursor left";
        "right" ["right", "ctrl-f"] LINES, "" 0, Action::Edit(Edit::Right), "Cursor right";
        "start" ["home", "ctrl-a"] LINES, "" 0, Action::Edit(Edit::Start), "To the start";
        "end" ["end", "ctrl-e"] LINES, "" 0, Action::Edit(Edit::End), "To the end";
        "backspace" ["backspace", "ctrl-h"] LINES, "" 0, Action::Edit(Edit::Backspace), "Delete the character before";
        "delete" ["delete", "ctrl-d"] LINES, "" 0, Action::Edit(Edit::Delete), "Delete the character at the cursor";
        "delete-word" ["ctrl-w"] LINES, "" 0, Action::Edit(Edit::DeleteWord), "Delete the word before";
        "delete-to-start" ["ctrl-u"] LINES, "clear" 4, Action::Edit(Edit::DeleteToStart), "Delete all before";
    }
}

/// A key's name as the list writes it, `None` for one that has none.
pub fn key_name(key: &KeyEvent) -> Option<String> {
    let mut mods = key.modifiers;
    let base = match key.code {
        KeyCode::Char(' ') => "space".to_owned(),
        KeyCode::Char(c) => {
            // The character already says it.
            mods.remove(KeyModifiers::SHIFT);
            if mods.contains(KeyModifiers::CONTROL) { c.to_ascii_lowercase().into() } else { c.into() }
        }
        KeyCode::Enter => "enter".into(),
        KeyCode::Esc => "esc".into(),
        KeyCode::Tab if mods.contains(KeyModifiers::SHIFT) => {
            mods.remove(KeyModifiers::SHIFT);
            "shift-tab".into()
        }
        KeyCode::Tab => "tab".into(),
        KeyCode::BackTab => {
            mods.remove(KeyModifiers::SHIFT);
            "shift-tab".into()
        }
        KeyCode::Backspace => "backspace".into(),
        KeyCode::Delete => "delete".into(),
        KeyCode::Up => "up".into(),
        KeyCode::Down => "down".into(),
        KeyCode::Left => "left".into(),
        KeyCode::Right => "right".into(),
        KeyCode::Home => "home".into(),
        KeyCode::End => "end".into(),
        KeyCode::PageUp => "pgup".into(),
        KeyCode::PageDown => "pgdn".into(),
        KeyCode::F(n) => format!("f{n}"),
        _ => return None,
    };
    let mut name = String::new();
    for (m, word) in
        [(KeyModifiers::CONTROL, "ctrl-"), (KeyModifiers::ALT, "alt-"), (KeyModifiers::SHIFT, "shift-")]
    {
        if mods.contains(m) {
            name.push_str(word);
        }
    }
    name.push_str(&base);
    Some(name)
}

/// A key as shown to people: `↵`, `^C`, `PgDn`.
pub fn key_label(key: &str, ascii: bool) -> std::borrow::Cow<'_, str> {
    match key {
        "enter" if ascii => "Enter".into(),
        "enter" => "↵".into(),
        "up" if !ascii => "↑".into(),
        "down" if !ascii => "↓".into(),
        "left" if !ascii => "←".into(),
        "right" if !ascii => "→".into(),
        "up" => "Up".into(),
        "down" => "Down".into(),
        "left" => "Left".into(),
        "right" => "Right".into(),
        "shift-tab" => "S-Tab".into(),
        "alt-left" if !ascii => "A-←".into(),
        "alt-right" if !ascii => "A-→".into(),
        "alt-left" => "A-Left".into(),
        "alt-right" => "A-Right".into(),
        "shift-right" if !ascii => "S-→".into(),
        "shift-left" if !ascii => "S-←".into(),
        "shift-right" => "S-Right".into(),
        "shift-left" => "S-Left".into(),
        "shift-up" if !ascii => "S-↑".into(),
        "shift-down" if !ascii => "S-↓".into(),
        "shift-up" => "S-Up".into(),
        "shift-down" => "S-Down".into(),
        "esc" => "Esc".into(),
        "tab" => "Tab".into(),
        "pgup" => "PgUp".into(),
        "pgdn" => "PgDn".into(),
        "home" => "Home".into(),
        "end" => "End".into(),
        "backspace" => "Bksp".into(),
        "delete" => "Del".into(),
        _ => match (key.strip_prefix("ctrl-"), key.strip_prefix('f')) {
            (Some(c), _) => format!("^{}", c.to_uppercase()).into(),
            (None, Some(n)) if !n.is_empty() => format!("F{n}").into(),
            _ => key.into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_in_one_place() {
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
    fn every_command_is_named_documented_and_somewhere() {
        for (i, c) in COMMANDS.iter().enumerate() {
            assert!(COMMANDS[..i].iter().all(|o| o.name != c.name), "{} twice", c.name);
            assert!(!c.keys.is_empty() && !c.help.is_empty() && c.places != 0, "{}", c.name);
            assert!(c.name.chars().all(|ch| ch.is_ascii_lowercase() || ch == '-'), "{}", c.name);
            assert!(c.help.len() <= 90, "{}: one line", c.name);
        }
    }

    #[test]
    fn every_key_can_be_typed() {
        for key in COMMANDS.iter().flat_map(|c| c.keys) {
            let event = crate::tui::key_script::key(key);
            assert_eq!(key_name(&event).as_deref(), Some(*key));
        }
    }
}
