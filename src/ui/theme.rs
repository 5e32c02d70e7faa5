//! Roles, and how they look with many colours, few and none; and the characters to draw with.

use crate::model::State;
use ratatui::style::{Color as C, Modifier, Style};

/// How many colours the terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Color {
    /// 24 bits.
    #[default]
    True,
    /// The 256 of xterm.
    Indexed,
    /// The 16 of old.
    Basic,
    /// None: bold, dim, reverse and underline only.
    None,
}

/// What things look like, by what they are. The terminal's own foreground and background are left alone, except
/// where a role sets both.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    /// Plain text.
    pub text: Style,
    /// What matters most in a row.
    pub strong: Style,
    /// What is there and matters less: units, zeros, notes.
    pub dim: Style,
    /// Less still: rules, empty gauges, what is missing.
    pub faint: Style,
    /// The one accent: keys, the active tab, what is being edited.
    pub accent: Style,
    /// The band of the top line.
    pub band: Style,
    /// The background of that band, to lay under other styles.
    pub on_band: Style,
    /// What lies over the table.
    pub window: Style,
    /// The active tab on it.
    pub tab: Style,
    /// The line of column titles.
    pub head: Style,
    /// The title of the column that sorts.
    pub sorted: Style,
    /// The selected line.
    pub select: Style,
    /// Whether colours with a meaning can be read on the selected line, and stay.
    pub select_keeps: bool,
    /// The cell in it that was gone to.
    pub cell: Style,
    /// A row that is new.
    pub fresh: Style,
    /// A row that has just gone.
    pub gone: Style,
    /// All is well.
    pub good: Style,
    /// Look at it: from three quarters of a limit.
    pub warn: Style,
    /// Act: from nine tenths of a limit.
    pub bad: Style,
    /// It serves.
    pub serve: Style,
    /// It is being set up.
    pub opening: Style,
    /// It is going away.
    pub closing: Style,
    /// A key in the key bar.
    pub key: Style,
}

/// One colour in its three depths.
struct Tone(u32, u8, C);

impl Tone {
    fn at(&self, depth: Color) -> C {
        match depth {
            Color::True => C::Rgb((self.0 >> 16) as u8, (self.0 >> 8) as u8, self.0 as u8),
            Color::Indexed => C::Indexed(self.1),
            Color::Basic => self.2,
            Color::None => C::Reset,
        }
    }
}

const WHITE: Tone = Tone(0x00ee_f1f6, 255, C::White);
const SOFT: Tone = Tone(0x008b_93a3, 246, C::DarkGray);
const FAINT: Tone = Tone(0x005c_6370, 241, C::DarkGray);
const SURFACE: Tone = Tone(0x001f_242d, 235, C::Black);
const LIFTED: Tone = Tone(0x002b_3544, 237, C::Blue);
const NEW: Tone = Tone(0x001d_3328, 22, C::Black);
const CYAN: Tone = Tone(0x0056_b6f0, 75, C::Cyan);
const GREEN: Tone = Tone(0x0077_c488, 114, C::Green);
const BLUE: Tone = Tone(0x007a_a2f7, 111, C::LightBlue);
const AMBER: Tone = Tone(0x00e5_b567, 179, C::Yellow);
const RED: Tone = Tone(0x00f0_7178, 203, C::LightRed);
const VIOLET: Tone = Tone(0x00a3_97c9, 140, C::Magenta);

impl Theme {
    /// The dark theme in this depth.
    pub fn dark(depth: Color) -> Self {
        let plain = Style::new();
        if depth == Color::None {
            let bold = plain.add_modifier(Modifier::BOLD);
            let dim = plain.add_modifier(Modifier::DIM);
            let reverse = plain.add_modifier(Modifier::REVERSED);
            let under = plain.add_modifier(Modifier::UNDERLINED);
            return Self {
                text: plain,
                strong: bold,
                dim: plain,
                faint: dim,
                accent: bold,
                band: plain,
                on_band: plain,
                window: plain,
                tab: reverse,
                head: under,
                sorted: under.add_modifier(Modifier::BOLD),
                select: reverse,
                select_keeps: true,
                cell: bold.add_modifier(Modifier::UNDERLINED),
                fresh: plain,
                gone: dim,
                good: plain,
                warn: bold,
                bad: bold,
                serve: plain,
                opening: plain,
                closing: plain,
                key: bold,
            };
        }
        let fg = |t: &Tone| plain.fg(t.at(depth));
        let on = |f: &Tone, b: &Tone| plain.fg(f.at(depth)).bg(b.at(depth));
        let bold = Modifier::BOLD;
        Self {
            text: plain,
            strong: plain.add_modifier(bold),
            dim: fg(&SOFT),
            faint: fg(&FAINT),
            accent: fg(&CYAN),
            band: on(&SOFT, &SURFACE),
            on_band: plain.bg(SURFACE.at(depth)),
            window: on(&WHITE, &SURFACE),
            tab: on(&CYAN, &SURFACE).add_modifier(bold),
            head: on(&SOFT, &SURFACE),
            sorted: on(&CYAN, &SURFACE).add_modifier(bold),
            select: on(&WHITE, &LIFTED),
            select_keeps: depth != Color::Basic,
            cell: Style::new().add_modifier(bold).add_modifier(Modifier::UNDERLINED),
            fresh: if depth == Color::Basic { fg(&GREEN) } else { on(&WHITE, &NEW) },
            gone: fg(&FAINT),
            good: fg(&GREEN),
            warn: fg(&AMBER),
            bad: fg(&RED).add_modifier(bold),
            serve: fg(&BLUE),
            opening: fg(&CYAN),
            closing: fg(&VIOLET),
            key: fg(&CYAN),
        }
    }

    /// How a state looks.
    pub const fn state(&self, s: State) -> Style {
        match s {
            State::Listen | State::Unconn => self.serve,
            State::Established => self.good,
            State::SynSent | State::SynRecv => self.opening,
            State::CloseWait => self.warn,
            State::FinWait1 | State::FinWait2 | State::LastAck | State::Closing | State::TimeWait => {
                self.closing
            }
            State::Closed => self.dim,
        }
    }

    /// How a share of a limit looks, 0 to 1 and above.
    pub fn pressure(&self, share: f64) -> Style {
        if share >= 0.9 {
            self.bad
        } else if share >= 0.75 {
            self.warn
        } else {
            self.good
        }
    }
}

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
    /// A horizontal rule.
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
