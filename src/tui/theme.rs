//! Styles by role for each colour depth, and the glyphs to draw with.
//!
//! Colours are data: [`palette::PALETTES`], and theme files with the same names.

mod color;
pub mod contrast;
pub mod contrast_check;
mod glyphs;
pub mod palette;

pub use super::theme::glyphs::{ASCII, Glyphs, UNICODE};
pub use super::theme::palette::{Palette, Tone};
pub use color::Color;

use crate::model::State;
use ratatui::style::{Modifier, Style};

/// Styles by role. The terminal's default foreground and background are kept, except where a role sets both.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    /// Base style; empty where the terminal's background is suitable.
    pub ground: Style,
    /// Track of a gauge.
    pub track: Style,
    /// Plain text.
    pub text: Style,
    /// Most important text of a row.
    pub strong: Style,
    /// Less important text: units, notes.
    pub dim: Style,
    /// Least important: rules, empty gauges, zeros, missing values.
    pub faint: Style,
    /// Accent: keys, active tab, edited text.
    pub accent: Style,
    /// Top line and key bar.
    pub band: Style,
    /// Background of the band, to patch other styles with.
    pub on_band: Style,
    /// Windows over the table.
    pub window: Style,
    /// Title line of a window over the table.
    pub title: Style,
    /// True if a window has the background of the table, and needs a frame.
    pub framed: bool,
    /// The active tab.
    pub tab: Style,
    /// The line of column titles.
    pub head: Style,
    /// The title of the sort column.
    pub sorted: Style,
    /// The selected line.
    pub select: Style,
    /// True if meaningful colours are readable on the selected line, and kept.
    pub select_keeps: bool,
    /// The selected cell.
    pub cell: Style,
    /// A new row.
    pub fresh: Style,
    /// A row that has just closed.
    pub gone: Style,
    /// Normal.
    pub good: Style,
    /// Warning: from 75% of a limit.
    pub warn: Style,
    /// Critical: from 90% of a limit.
    pub bad: Style,
    /// Listening.
    pub serve: Style,
    /// Connection being opened.
    pub opening: Style,
    /// Connection being closed.
    pub closing: Style,
    /// A key in the key bar.
    pub key: Style,
}

impl Theme {
    /// Theme of a palette at this depth. `painted`: also paint the background, because the terminal's does not suit it.
    pub fn new(palette: &Palette, depth: Color, painted: bool) -> Self {
        let depth = depth.least(palette.most);
        let basic = depth == Color::Basic;
        // None of the sixteen colours is readable on black and on white: the background must be known.
        if depth == Color::None || (basic && painted) {
            return Self::plain();
        }
        let color = |t: Tone| palette.at(t, depth);
        let (plain, bold) = (Style::new(), Modifier::BOLD);
        let fg = |t: Tone| plain.fg(color(t));
        let faint = if basic { plain.add_modifier(Modifier::DIM) } else { fg(Tone::Faint) };
        let marked = |t: Tone| match bold_text(fg(t)) {
            as_it_was if as_it_was == fg(t) => as_it_was.add_modifier(Modifier::UNDERLINED),
            bold => bold,
        };
        let on = |f: Tone, b: Tone| plain.fg(color(f)).bg(color(b));
        Self {
            ground: if painted { on(Tone::Ink, Tone::Ground) } else { plain },
            track: faint,
            text: plain,
            strong: plain.add_modifier(bold),
            dim: fg(Tone::Soft),
            faint,
            accent: fg(Tone::Accent),
            band: on(Tone::Soft, Tone::Surface),
            on_band: plain.bg(color(Tone::Surface)),
            window: on(Tone::Ink, Tone::Surface),
            title: if basic { plain.add_modifier(Modifier::REVERSED) } else { on(Tone::Soft, Tone::Surface) },
            framed: basic,
            tab: on(Tone::Accent, Tone::Surface).patch(marked(Tone::Accent)),
            head: on(Tone::Soft, Tone::Surface),
            sorted: on(Tone::Accent, Tone::Surface).patch(marked(Tone::Accent)),
            // None of the sixteen colours is reliably close to the background and distinct from it.
            select: if basic { plain.add_modifier(Modifier::REVERSED) } else { on(Tone::Ink, Tone::Lifted) },
            select_keeps: !basic,
            cell: plain.add_modifier(bold).add_modifier(Modifier::UNDERLINED),
            fresh: if basic { fg(Tone::Good) } else { plain.bg(color(Tone::New)) },
            gone: faint,
            good: fg(Tone::Good),
            // Apart without hue, too.
            warn: marked(Tone::Warn),
            bad: marked(Tone::Bad).add_modifier(Modifier::UNDERLINED),
            serve: fg(Tone::Serve),
            opening: fg(Tone::Opening),
            closing: fg(Tone::Closing),
            key: fg(Tone::Accent),
        }
    }

    /// Theme without colours: bold, dim, underlined and reversed, readable on any background.
    fn plain() -> Self {
        let plain = Style::new();
        let bold = plain.add_modifier(Modifier::BOLD);
        let dim = plain.add_modifier(Modifier::DIM);
        let reverse = plain.add_modifier(Modifier::REVERSED);
        let under = plain.add_modifier(Modifier::UNDERLINED);
        Self {
            ground: plain,
            track: dim,
            text: plain,
            strong: bold,
            dim: plain,
            faint: dim,
            accent: bold,
            band: plain,
            on_band: plain,
            window: plain,
            title: reverse,
            framed: true,
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
            bad: bold.add_modifier(Modifier::UNDERLINED),
            serve: plain,
            opening: plain,
            closing: plain,
            key: bold,
        }
    }

    /// The style in bold, if its color stays readable.
    pub fn bold(&self, style: Style) -> Style {
        bold_text(style)
    }

    /// Style of a state.
    pub const fn state(&self, s: State) -> Style {
        match s {
            State::Listen | State::Unconn => self.serve,
            State::Established => self.good,
            State::SynSent | State::SynRecv => self.opening,
            State::CloseWait => self.warn,
            State::FinWait1 | State::FinWait2 | State::LastAck | State::Closing | State::TimeWait => {
                self.closing
            }
            State::Closed | State::Forwarded | State::Unknown(_) => self.dim,
        }
    }

    /// Style of a share of a limit, 0 to 1 and above.
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

/// The style in bold. Not the first eight of the sixteen colors, of which xterm and the Linux console show the bright one
/// instead: red and blue are readable on white, their bright ones are not.
fn bold_text(style: Style) -> Style {
    match style.fg {
        Some(c) if palette::SIXTEEN[..8].contains(&c) => style,
        _ => style.add_modifier(Modifier::BOLD),
    }
}
