//! What comes in, what is to be done, and what goes out.

use super::act::Act;
use super::arrange::{ArrangeJob, ArrangeResult};
use super::export::Export;
use crate::model::{Addr, Missing, ProcInfo, Snapshot, Socket, State, Wants};
use crate::sync::Mailbox;
use crate::view::preset::Preset;
use std::sync::Arc;
use std::time::Duration;

/// The mailbox that carries snapshots to the dashboard: a terminal that does not keep up only misses the older ones.
pub type Latest = Mailbox<Arc<Snapshot>>;

impl From<Arc<Snapshot>> for Event {
    fn from(snapshot: Arc<Snapshot>) -> Self {
        let latest = Latest::default();
        latest.put(snapshot);
        Self::Fresh(latest)
    }
}

/// The process of the details, and the socket by which one came to it: what is read of one and not of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeRequest {
    /// The process.
    pub process: Arc<ProcInfo>,
    /// A descriptor of it and the inode of the socket behind that.
    pub socket: Option<(u32, u64)>,
    /// That socket by what does not change of it, where it is an IP one, and the inode of its network namespace where that is
    /// not this program's: for its BPF maps.
    pub inet: Option<Box<(Socket, Option<u64>)>>,
}

impl ProbeRequest {
    /// The socket of this row as [`Self::inet`] has it.
    pub fn inet(snap: &Snapshot, row: usize) -> Option<Box<(Socket, Option<u64>)>> {
        let s = snap.socket(row);
        let (local, remote) = (s.local, s.remote);
        let netns = snap.sample.namespaces.get(usize::from(s.id.netns)).filter(|_| s.id.netns > 0);
        let fixed = Socket { local, remote, ..Socket::new(s.id, s.family, s.proto, State::Closed) };
        (row < snap.live && s.proto.is_inet() && s.id.kernel_cookie().is_some())
            .then(|| Box::new((fixed, netns.map(|n| n.inode))))
    }
}

/// What a request look shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeResult {
    /// The working directory (`/proc/PID/cwd`), or why that is not known.
    pub cwd: Result<String, String>,
    /// The security context of the process.
    pub proc_ctx: Result<String, Missing>,
    /// That of the socket.
    pub sock_ctx: Result<String, Missing>,
    /// The threads of the process.
    pub tids: Vec<u32>,
    /// The BPF maps that keep something beside the socket, where it is an IP one: id, bytes.
    pub bpf_maps: Result<Vec<(u32, u32)>, Missing>,
}

/// Everything the dashboard can be told, in one queue.
#[derive(Clone, Debug)]
pub enum Event {
    /// A key, the mouse, a paste, a new size.
    Input(crossterm::event::Event),
    /// A newer snapshot lies here, unless it was taken already.
    Fresh(Latest),
    /// A word on how an effect went.
    Status(String),
    /// What a request look showed.
    Probed(ProbeRequest, Box<ProbeResult>),
    /// What was asked for by [`Effect::Arrange`].
    Arranged(Box<ArrangeResult>),
    /// Polls come this often by now: each would take more than its share otherwise.
    EffectiveInterval(Duration),
    /// The resolver has told another name.
    HostNames,
    /// The terminal says its background: red, green and blue, eight bits each.
    Background(u32),
    /// A poll failed; the line says what was tried and why it failed.
    Failed(String),
    /// The system asks for something.
    Signal(Signal),
    /// The terminal is gone: nothing more can come in.
    InputClosed,
}

/// Signals that mean something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `SIGINT`.
    Interrupt,
    /// `SIGTERM`.
    Terminate,
    /// `SIGHUP`.
    Hangup,
    /// `SIGTSTP`: to be stopped, with the terminal given back before.
    Stop,
    /// `SIGCONT`: stopped for a while, and what is on the screen is not ours any more.
    Continue,
}

/// What the dashboard wants done outside of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Read this from now on.
    Wants(Wants),
    /// Poll this often from now on.
    Interval(Duration),
    /// Do this on another thread, and give the answer back.
    Arrange(Box<ArrangeJob>),
    /// Poll at once.
    Refresh,
    /// Take the mouse, or leave it to the terminal.
    Mouse(bool),
    /// Give the terminal back, stop this process, and take it again when it goes on
    /// ([`super::terminal::suspend`] does that).
    Suspend,
    /// Do this to the machine, or the clipboard.
    Act(Act),
    /// Ask the resolver for the names of these; it puts them where the snapshots find them.
    Resolve(Vec<Addr>),
    /// An alert was raised or got worse: as JSON, and in a sentence.
    NotifyAlert(String, String),
    /// Look request at this process and its socket.
    Probe(ProbeRequest),
    /// Remember this filter for the next run.
    Remember(String),
    /// Save a filter under a name.
    Save {
        /// Its name.
        name: String,
        /// Its text.
        filter: String,
    },
    /// Save a view under a name.
    SaveView {
        /// Its name.
        name: String,
        /// What it asks.
        view: Preset,
    },
    /// Write this to a file.
    Write(Export),
    /// Clear the terminal and draw all of it again.
    Redraw,
    /// End.
    Quit,
}

/// What a key, a click or the runner asks the dashboard to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// End the program.
    Quit,
    /// Stop it for a while.
    Suspend,
    /// Draw everything anew.
    Redraw,
    /// One step out: close the overlay, the pane, the filter.
    Back,
    /// Show the view of this number, from 0.
    View(u8),
    /// Show the next view, or the one before.
    CycleView(i8),
    /// Move the selection, or in an overlay its own.
    Go(Motion),
    /// Open or close the group at the selection.
    Fold(FoldTo),
    /// What Enter does here: unfold, details, choose.
    Enter,
    /// Scroll the details.
    ScrollDetails(i16),
    /// Scroll the details by so many halves of what is seen of them.
    ScrollDetailsHalf(i8),
    /// Begin to edit the filter.
    Filter,
    /// Drop the filter.
    ClearFilter,
    /// Edit the filter's text.
    Edit(Edit),
    /// Keep the filter as typed.
    AcceptFilter,
    /// The filter typed before, or after.
    FilterHistory(i8),
    /// The next thing that can be typed at the cursor, or the one before.
    Complete(i8),
    /// Ask for a name to save the filter under.
    SaveAs,
    /// Ask for a name to save the whole view under.
    SaveView,
    /// Open the list of saved filters and views.
    SavedList,
    /// Open the list of columns.
    ColumnList,
    /// Move a column of that list.
    MoveColumn(i8),
    /// Show the usual columns again.
    ResetColumns,
    /// Go to the next cell of the row, or the one before.
    MoveCell(i8),
    /// Filter by the cell: only rows that say the same, or none of them.
    FilterByCell(bool),
    /// The next grouping, or the one before.
    Group(i8),
    /// Open the list of columns to sort by.
    SortList,
    /// Turn the order round.
    Reverse,
    /// Stop and go on.
    Pause,
    /// A shorter interval (-1) or a longer one.
    ChangeInterval(i8),
    /// Poll now.
    Refresh,
    /// Open the help.
    Help,
    /// Type what to find in the help.
    Find,
    /// Open the list of everything that can be done.
    Palette,
    /// What was asked before, or again what was asked after.
    Undo(bool),
    /// To the place before, or the one after.
    Navigate(i8),
    /// Mark all from the last mark to here.
    MarkRange,
    /// Take the mouse, or leave it to the terminal.
    ToggleMouse,
    /// Make the details larger or smaller.
    ResizeDetails(i8),
    /// Say what the cell, or the state of the row, is.
    Explain,
    /// Go to the far end of the connection.
    GoToPeer,
    /// Show names instead of far addresses, or addresses again.
    ToggleNames,
    /// Mark the row, or take its mark away.
    Mark,
    /// Mark every row that is shown, or take all marks away.
    MarkAll,
    /// Open the list of alerts.
    AlertList,
    /// Raise the limit of a process's descriptors.
    RaiseFdLimit,
    /// Open the list of what can be written to a file.
    ExportList,
    /// Open the list of what can be done.
    ActionList,
    /// Do what was asked.
    Confirm,
    /// Move in the state strip.
    FocusStates,
    /// A click on this cell.
    Click(u16, u16),
    /// The mouse is moved with its button down.
    MouseDrag(u16, u16),
    /// The button is let go.
    MouseUp,
    /// The wheel over this cell: rows down, negative up.
    Wheel(u16, u16, i8),
}

/// Where the selection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motion {
    /// Lines down, negative up.
    Lines(i16),
    /// Half screens down, negative up.
    Halves(i8),
    /// Screens down, negative up.
    Pages(i8),
    /// To the first line.
    Top,
    /// To the last line.
    Bottom,
    /// To the next group, or the one before.
    Group(i8),
}

/// What becomes of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoldTo {
    /// Closed; from a row or a closed group the selection goes to the group around it.
    Closed,
    /// Open; in an open one the selection goes to its first row.
    Open,
    /// All groups closed, or open when they are.
    All,
}

/// One change of the filter's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// This character at the cursor.
    Insert(char),
    /// The character before the cursor away.
    Backspace,
    /// The character at the cursor away.
    Delete,
    /// The word before the cursor away.
    DeleteWord,
    /// All before the cursor away.
    DeleteToStart,
    /// Cursor left.
    Left,
    /// Cursor right.
    Right,
    /// Cursor to the start.
    Start,
    /// Cursor to the end.
    End,
}
