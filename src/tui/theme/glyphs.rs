//! Glyphs to draw with, in Unicode and in ASCII.

/// Glyphs to draw with.
#[derive(Clone, Copy, Debug)]
pub struct Glyphs {
    /// True if only ASCII is allowed.
    pub ascii: bool,
    /// True if gauges and sparklines are drawn.
    pub moving: bool,
    /// An expanded group.
    pub open: &'static str,
    /// A collapsed group.
    pub closed: &'static str,
    /// A worrying rise.
    pub up: &'static str,
    /// At a limit.
    pub alarm: &'static str,
    /// Near one.
    pub notice: &'static str,
    /// A shown column.
    pub tick: &'static str,
    /// A marked row.
    pub mark: &'static str,
    /// Sorted ascending.
    pub ascending: &'static str,
    /// Sorted descending.
    pub descending: &'static str,
    /// Polling.
    pub live: &'static str,
    /// A poll is late.
    pub late: &'static str,
    /// A moment of a recording.
    pub recorded: &'static str,
    /// Paused.
    pub paused: &'static str,
    /// The selected line's edge.
    pub edge: &'static str,
    /// A new row's edge.
    pub new: &'static str,
    /// A closed row's edge.
    pub gone: &'static str,
    /// Beside the rows of a nested group.
    pub nested: &'static str,
    /// Clipped text.
    pub cut: &'static str,
    /// Separator.
    pub dot: &'static str,
    /// From one to the other.
    pub arrow: &'static str,
    /// A vertical rule.
    pub vertical: &'static str,
    /// Draws a horizontal rule.
    pub horizontal: &'static str,
    /// Lower corners of a frame, left and right.
    pub corners: [&'static str; 2],
    /// A gauge's full cell.
    pub full: &'static str,
    /// A gauge's empty cell.
    pub empty: &'static str,
    /// A gauge's partly full cells, least first.
    pub parts: &'static [&'static str],
    /// Levels of a trend, least first.
    pub levels: &'static [&'static str],
    /// Parts of a stacked bar, distinct without colour.
    pub bar: [&'static str; 3],
    /// Scroll position.
    pub thumb: &'static str,
}

/// Glyphs for UTF-8 terminals.
pub const UNICODE: Glyphs = Glyphs {
    ascii: false,
    moving: true,
    open: "▾",
    closed: "▸",
    up: "▲",
    alarm: "▲",
    notice: "△",
    tick: "✓",
    mark: "●",
    ascending: "↑",
    descending: "↓",
    live: "●",
    late: "◐",
    recorded: "▸",
    paused: "‖",
    edge: "▌",
    new: "+",
    gone: "×",
    nested: "│",
    cut: "…",
    dot: "·",
    arrow: "→",
    vertical: "│",
    horizontal: "─",
    corners: ["└", "┘"],
    full: "━",
    empty: "─",
    parts: &["╾"],
    levels: &["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    bar: ["█", "▓", "░"],
    thumb: "▐",
};

/// Glyphs for all other terminals.
pub const ASCII: Glyphs = Glyphs {
    ascii: true,
    moving: true,
    open: "-",
    closed: "+",
    up: "^",
    alarm: "!",
    notice: "*",
    tick: "x",
    mark: "*",
    ascending: "^",
    descending: "v",
    live: "*",
    late: "o",
    recorded: ">",
    paused: "=",
    edge: ">",
    new: "+",
    gone: "x",
    nested: "|",
    cut: "~",
    dot: "|",
    arrow: "->",
    vertical: "|",
    horizontal: "-",
    corners: ["+", "+"],
    full: "#",
    empty: ".",
    parts: &[],
    levels: &["_", ".", "-", "=", "+", "*", "#"],
    bar: ["#", "=", "."],
    thumb: "#",
};
