//! Events in, actions, and effects out.

use super::act::Act;
use super::arrange::{ArrangeJob, ArrangeResult};
use super::compare::{Comparison, TwoMoments};
use super::export::Export;
use super::past::{PastPosition, SeekRequest, SeekTo};
use crate::diagnose::why::{Answer, Question};
use crate::model::{Addr, Missing, Period, ProcInfo, Shown, Snapshot, Socket, State, Wants};
use crate::sync::Mailbox;
use crate::view::preset::Preset;
use serde::{Deserialize, Serialize};
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

/// Request to read what is read for the details of one row only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeRequest {
    /// The process.
    pub process: Arc<ProcInfo>,
    /// A descriptor of the process and the inode of its socket.
    pub socket: Option<(u32, u64)>,
    /// The constant part of an IP socket, and the inode of its network namespace if not this program's: for its
    /// BPF maps.
    pub inet: Option<Box<(Socket, Option<u64>)>>,
}

impl ProbeRequest {
    /// The socket of this row, for [`Self::inet`].
    pub fn inet(snap: &Snapshot, row: usize) -> Option<Box<(Socket, Option<u64>)>> {
        let s = snap.socket(row);
        let (local, remote) = (s.local, s.remote);
        let netns = snap.sample.namespaces.get(usize::from(s.id.netns)).filter(|_| s.id.netns > 0);
        let fixed = Socket { local, remote, ..Socket::new(s.id, s.family, s.proto, State::Closed) };
        (row < snap.live && s.proto.is_inet() && s.id.kernel_cookie().is_some())
            .then(|| Box::new((fixed, netns.map(|n| n.inode))))
    }
}

/// Result of a [`ProbeRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeResult {
    /// The working directory (`/proc/PID/cwd`), or the read error.
    pub cwd: Result<String, String>,
    /// The security context of the process.
    pub proc_ctx: Result<String, Missing>,
    /// The security context of the socket.
    pub sock_ctx: Result<String, Missing>,
    /// The threads of the process.
    pub tids: Vec<u32>,
    /// BPF socket storage of an IP socket: map id, bytes.
    pub bpf_maps: Result<Vec<(u32, u32)>, Missing>,
}

/// Input of the dashboard, in one queue.
#[derive(Clone, Debug)]
pub enum Event {
    /// Key, mouse, paste or resize.
    Input(crossterm::event::Event),
    /// A new snapshot is in this mailbox, unless it was taken already.
    Fresh(Latest),
    /// Result of an effect, for the status line.
    Status(String),
    /// Result of [`Effect::Probe`].
    Probed(ProbeRequest, Box<ProbeResult>),
    /// Result of [`Effect::Answer`]: the time of the answer, nanoseconds since 1970, and the answer; or the reason why there is none.
    Answered(Question, Box<Result<(u64, Answer), String>>),
    /// Result of [`Effect::Arrange`].
    Arranged(Box<ArrangeResult>),
    /// Effective poll interval, raised to stay within the CPU budget.
    EffectiveInterval(Duration),
    /// The resolver has a new host name.
    HostNames,
    /// Background of the terminal: red, green and blue, eight bits each.
    Background(u32),
    /// The terminal has processed the last frame.
    TerminalReady,
    /// No poll has finished for so long that what is shown is no longer live: its age.
    Late(Duration),
    /// A poll failed; the reason.
    Failed(String),
    /// The last sample of a recording was shown.
    EndOfRecording,
    /// The recording that is written beside the dashboard began, ended or waits for space; the reason or directory, for the status
    /// line.
    Recording(Recorded, String),
    /// A moment of the past, as [`Effect::Seek`] asked for.
    Past(Arc<Snapshot>, PastPosition),
    /// Figures of the moments of the past, after more was derived from them.
    Marks(Arc<[Period]>),
    /// No moment is as [`Effect::Seek`] asked for.
    NoMoment,
    /// Differences, as [`Effect::Compare`] asked for.
    Compared(Arc<Comparison>),
    /// A search in the past came to this time, nanoseconds since 1970.
    Searching(u64),
    /// A signal from the system.
    Signal(Signal),
    /// The terminal is gone; no more input.
    InputClosed,
}

/// State of the recording that is written beside the dashboard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recorded {
    /// None is written.
    #[default]
    Off,
    /// Every sample is written.
    On,
    /// Nothing is written until there is space.
    Paused,
}

/// Handled signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `SIGINT`.
    Interrupt,
    /// `SIGTERM`.
    Terminate,
    /// `SIGHUP`.
    Hangup,
    /// `SIGTSTP`: suspend, after restoring the terminal.
    Stop,
    /// `SIGCONT`: resumed; the screen must be redrawn.
    Continue,
}

/// Work for the runner.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Data to read in each poll.
    Wants(Wants),
    /// Sockets and processes on screen: the next polls check their owners and names first.
    Shown(Arc<Shown>),
    /// Poll interval.
    Interval(Duration),
    /// Arrange rows in another thread.
    Arrange(Box<ArrangeJob>),
    /// Poll at once.
    Refresh,
    /// Begin or end writing a recording.
    Record(bool),
    /// Show a moment of the past.
    Seek(SeekRequest),
    /// End a search in the past.
    StopSearch,
    /// Find the differences between two moments, in another thread.
    Compare(TwoMoments),
    /// Continue a recording after this moment, nanoseconds since 1970.
    Resume(u64),
    /// Turn mouse capture on or off.
    Mouse(bool),
    /// Restore the terminal, stop this process, and take the terminal again when it resumes
    /// (see [`super::terminal::suspend`]).
    Suspend,
    /// Carry out an action.
    Act(Act),
    /// Resolve host names of these addresses.
    Resolve(Vec<Addr>),
    /// An alert was raised or got worse: as JSON and as a sentence.
    NotifyAlert(String, String),
    /// Probe a process and its socket.
    Probe(ProbeRequest),
    /// Answer a question, in another thread.
    Answer(Question),
    /// Add a filter to the saved history.
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
        /// Its settings.
        view: Preset,
    },
    /// Write an export to a file.
    Write(String, Export),
    /// Clear the terminal and redraw.
    Redraw,
    /// Exit.
    Quit,
}

/// Action of a key, a click or the runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Exit the program.
    Quit,
    /// Suspend the program.
    Suspend,
    /// Redraw the screen.
    Redraw,
    /// Close the overlay, else the details, else clear the marks, else the filter.
    Back,
    /// Show the view of this index.
    View(u8),
    /// Show the next (1) or previous view.
    CycleView(i8),
    /// Move the selection, or scroll.
    Go(Motion),
    /// Expand or collapse groups.
    Fold(FoldTo),
    /// Enter: expand, open the details, or choose.
    Enter,
    /// Scroll the details by lines.
    ScrollDetails(i16),
    /// Scroll the details by half pages.
    ScrollDetailsHalf(i8),
    /// Edit the filter.
    Filter,
    /// Clear the filter.
    ClearFilter,
    /// Edit the text in focus.
    Edit(Edit),
    /// Apply the filter.
    AcceptFilter,
    /// Recalls the previous (-1) or next filter of the history.
    FilterHistory(i8),
    /// Next (1) or previous completion.
    Complete(i8),
    /// Save the filter under a name.
    SaveAs,
    /// Save the view under a name.
    SaveView,
    /// Open the list of saved filters and views.
    SavedList,
    /// Open the list of columns.
    ColumnList,
    /// Move a column in the list.
    MoveColumn(i8),
    /// Search for a column to show.
    SearchColumns,
    /// Restore the default columns.
    ResetColumns,
    /// Select the next (1) or previous cell of the row.
    MoveCell(i8),
    /// Filter by the selected cell: only rows with its value, or without it.
    FilterByCell(bool),
    /// Next (1) or previous grouping.
    Group(i8),
    /// Open the list of sort columns.
    SortList,
    /// Reverse the sort order.
    Reverse,
    /// Pause or resume the display.
    Pause,
    /// A shorter interval (-1) or a longer one.
    ChangeInterval(i8),
    /// Poll now.
    Refresh,
    /// Open the help.
    Help,
    /// Search the help.
    Find,
    /// Open the command palette.
    Palette,
    /// Undo, or redo (`true`).
    Undo(bool),
    /// Back (-1) or forward in the location history.
    Navigate(i8),
    /// Mark all rows from the last mark to the selection.
    MarkRange,
    /// Turn mouse capture on or off.
    ToggleMouse,
    /// Enlarge (1) or shrink the details.
    ResizeDetails(i8),
    /// Show the next time span in the charts.
    ChartSpan,
    /// Explain the selected cell or state.
    Explain,
    /// Open the answer to why the selected row does not work.
    Why,
    /// Copy the answer that is open.
    CopyAnswer,
    /// Go to the peer socket.
    GoToPeer,
    /// Toggle host names for remote addresses.
    ToggleNames,
    /// Show a moment of the past.
    Seek(SeekTo),
    /// Return from the past.
    Live,
    /// Begin or end writing a recording.
    ToggleRecording,
    /// Mark the moment that is shown, or open the list of differences from the marked one.
    Compare,
    /// Mark or unmark the row.
    Mark,
    /// Mark all rows that match, or unmark all.
    MarkAll,
    /// Open the list of alerts.
    AlertList,
    /// Raise the fd limit of the selected process.
    RaiseFdLimit,
    /// Open the list of export formats.
    ExportList,
    /// Open the list of actions.
    ActionList,
    /// Confirm the action.
    Confirm,
    /// Select a state in the state bar.
    FocusStates,
    /// Click on a cell of the screen.
    Click(u16, u16),
    /// Mouse drag over a cell.
    MouseDrag(u16, u16),
    /// Mouse button released.
    MouseUp,
    /// Wheel over a cell: lines down, negative up.
    Wheel(u16, u16, i8),
}

/// Motion of the selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motion {
    /// Lines down, negative up.
    Lines(i16),
    /// Half pages down, negative up.
    Halves(i8),
    /// Pages down, negative up.
    Pages(i8),
    /// To the first line.
    Top,
    /// To the last line.
    Bottom,
    /// To the next (1) or previous group.
    Group(i8),
}

/// Change of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoldTo {
    /// Collapse; from a row or a collapsed group the selection goes to the parent group.
    Closed,
    /// Expand; in an expanded group the selection goes to its first row.
    Open,
    /// Collapse all groups, or expand all.
    All,
}

/// Edit of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Insert a character.
    Insert(char),
    /// Delete the character before the cursor.
    Backspace,
    /// Delete the character at the cursor.
    Delete,
    /// Delete the word before the cursor.
    DeleteWord,
    /// Delete everything before the cursor.
    DeleteToStart,
    /// Cursor left.
    Left,
    /// Cursor right.
    Right,
    /// Cursor to the start of the word, or of the previous one.
    WordLeft,
    /// Cursor to the end of the word, or of the next one.
    WordRight,
    /// Cursor to the start.
    Start,
    /// Cursor to the end.
    End,
}
