//! The characters to draw with: of Unicode, and of ASCII alone.

/// The characters to draw with.
#[derive(Clone, Copy, Debug)]
pub struct Glyphs {
    /// Whether only ASCII may be used.
    pub ascii: bool,
    /// An open group.
    pub open: &'static str,
    /// A closed one.
    pub closed: &'static str,
    /// Rising, and needs a look.
    pub up: &'static str,
    /// At a limit.
    pub alarm: &'static str,
    /// Near one.
    pub notice: &'static str,
    /// Chosen.
    pub tick: &'static str,
    /// Marked.
    pub mark: &'static str,
    /// Sorted upwards.
    pub ascending: &'static str,
    /// Sorted downwards.
    pub descending: &'static str,
    /// Polling.
    pub live: &'static str,
    /// Held.
    pub paused: &'static str,
    /// The selected line's edge.
    pub edge: &'static str,
    /// A new row's edge.
    pub new: &'static str,
    /// A gone row's edge.
    pub gone: &'static str,
    /// Beside the rows of a group within a group.
    pub nested: &'static str,
    /// Something was cut.
    pub cut: &'static str,
    /// Between two things.
    pub dot: &'static str,
    /// From here to there.
    pub arrow: &'static str,
    /// A vertical rule.
    pub vertical: &'static str,
    /// Draws a horizontal rule.
    pub horizontal: &'static str,
    /// A gauge's full cell.
    pub full: &'static str,
    /// A gauge's empty cell.
    pub empty: &'static str,
    /// A gauge's partly full cells, least first.
    pub parts: &'static [&'static str],
    /// Levels of a trend, least first.
    pub levels: &'static [&'static str],
    /// Parts of a bar, told apart without colour.
    pub bar: [&'static str; 3],
    /// Position in a long list.
    pub thumb: &'static str,
}

/// For terminals with UTF-8.
pub const UNICODE: Glyphs = Glyphs {
    ascii: false,
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
    full: "█",
    empty: "░",
    parts: &["▏", "▎", "▍", "▌", "▋", "▊", "▉"],
    levels: &["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    bar: ["█", "▓", "░"],
    thumb: "▐",
};

/// For all others.
pub const ASCII: Glyphs = Glyphs {
    ascii: true,
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
    full: "#",
    empty: ".",
    parts: &[],
    levels: &["_", ".", "-", "=", "+", "*", "#"],
    bar: ["#", "=", "."],
    thumb: "#",
};
