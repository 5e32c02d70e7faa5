//! Styles as SGR sequences, as short as possible.

use ratatui::buffer::Cell;
use ratatui::style::{Color, Modifier};
use std::fmt::Write as _;

/// Style that the terminal writes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pen {
    fg: Color,
    bg: Color,
    modifier: Modifier,
}

impl Pen {
    /// The style after a reset.
    pub(super) const DEFAULT: Self = Self { fg: Color::Reset, bg: Color::Reset, modifier: Modifier::empty() };

    /// Style of a cell.
    pub(super) const fn new(cell: &Cell) -> Self {
        Self { fg: cell.fg, bg: cell.bg, modifier: cell.modifier }
    }

    /// Appends the sequence that changes this style to `to`; nothing if they are equal.
    pub(super) fn change(self, to: Self, out: &mut String) {
        if self == to {
            return;
        }
        let mut params = String::new();
        let mut from = self;
        // Bold and dim have one code to end both; a reset is as short.
        if !(from.modifier - to.modifier).is_empty() || to == Self::DEFAULT {
            params.push_str(";0");
            from = Self::DEFAULT;
        }
        for (modifier, code) in MODIFIERS {
            if (to.modifier - from.modifier).contains(modifier) {
                let _ = write!(params, ";{code}");
            }
        }
        if from.fg != to.fg {
            color(to.fg, 30, &mut params);
        }
        if from.bg != to.bg {
            color(to.bg, 40, &mut params);
        }
        let _ = match params.strip_prefix(';').unwrap_or_default() {
            "0" => write!(out, "\x1b[m"),
            params => write!(out, "\x1b[{params}m"),
        };
    }
}

const MODIFIERS: [(Modifier, u8); 8] = [
    (Modifier::BOLD, 1),
    (Modifier::DIM, 2),
    (Modifier::ITALIC, 3),
    (Modifier::UNDERLINED, 4),
    (Modifier::SLOW_BLINK, 5),
    (Modifier::REVERSED, 7),
    (Modifier::HIDDEN, 8),
    (Modifier::CROSSED_OUT, 9),
];

/// Parameters of a colour; `base` is 30 for the foreground, 40 for the background. The sixteen have codes of their own
/// (ECMA-48, and aixterm for the bright ones), which terminals of 8 and 16 colours know; they do not know `38;5;N`.
fn color(c: Color, base: u8, out: &mut String) {
    let index = match c {
        Color::Reset => {
            let _ = write!(out, ";{}", base + 9);
            return;
        }
        Color::Rgb(r, g, b) => {
            let _ = write!(out, ";{};2;{r};{g};{b}", base + 8);
            return;
        }
        Color::Indexed(i) => i,
        Color::Black => 0,
        Color::Red => 1,
        Color::Green => 2,
        Color::Yellow => 3,
        Color::Blue => 4,
        Color::Magenta => 5,
        Color::Cyan => 6,
        Color::Gray => 7,
        Color::DarkGray => 8,
        Color::LightRed => 9,
        Color::LightGreen => 10,
        Color::LightYellow => 11,
        Color::LightBlue => 12,
        Color::LightMagenta => 13,
        Color::LightCyan => 14,
        Color::White => 15,
    };
    let _ = match index {
        0..8 => write!(out, ";{}", base + index),
        8..16 => write!(out, ";{}", base + 60 + index - 8),
        _ => write!(out, ";{};5;{index}", base + 8),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(from: Pen, to: Pen) -> String {
        let mut out = String::new();
        from.change(to, &mut out);
        out
    }

    #[test]
    fn styles_are_changed_by_the_shortest_sequence() {
        let d = Pen::DEFAULT;
        let red = Pen { fg: Color::Red, ..d };
        let bold = Pen { modifier: Modifier::BOLD, ..red };
        for (from, to, want) in [
            (d, d, ""),
            (d, red, "\x1b[31m"),
            (red, bold, "\x1b[1m"),
            (bold, red, "\x1b[0;31m"),
            (bold, d, "\x1b[m"),
            (red, Pen { bg: Color::Blue, ..d }, "\x1b[39;44m"),
            (d, Pen { fg: Color::LightCyan, bg: Color::DarkGray, ..d }, "\x1b[96;100m"),
            (d, Pen { fg: Color::Indexed(3), ..d }, "\x1b[33m"),
            (d, Pen { fg: Color::Indexed(12), ..d }, "\x1b[94m"),
            (d, Pen { fg: Color::Indexed(208), bg: Color::Rgb(1, 2, 3), ..d }, "\x1b[38;5;208;48;2;1;2;3m"),
            (d, Pen { modifier: Modifier::DIM | Modifier::REVERSED, ..d }, "\x1b[2;7m"),
        ] {
            assert_eq!(bytes(from, to), want, "{from:?} to {to:?}");
        }
    }
}
