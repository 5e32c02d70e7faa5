//! Terminal back end: one synchronised update per frame, no bytes when nothing changed, and few when little did.

use super::decoder::READY;
use super::link::link;
use super::sgr::Pen;
use ratatui::backend::{Backend, ClearType, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Instant;

/// Start of a synchronised update (DEC private mode 2026; ignored by terminals without it).
const BEGIN: &str = "\x1b[?2026h";
const END: &str = "\x1b[?2026l";

/// The part of a terminal that is drawn: at most 1000 columns and 500 lines. A terminal can claim 65,535 of each, and its cells
/// would not fit into memory.
pub fn bounded(size: Size) -> Size {
    Size::new(size.width.min(1000), size.height.min(500))
}

/// Back end that writes only changes.
///
/// A frame is sent as one synchronised update, so it never appears half drawn; a frame without changes sends no bytes.
/// After a frame the terminal is asked to answer (see [`mod@super::link`]).
#[derive(Debug)]
pub struct Frugal<W: Write> {
    out: W,
    /// The frame so far.
    frame: String,
    /// Flag: send synchronised updates.
    marks: bool,
    open: bool,
    /// Visibility and position of the cursor; `None`: unknown.
    cursor: Option<bool>,
    at: Option<Position>,
}

impl<W: Write> Frugal<W> {
    /// A back end over `out`, with or without synchronised updates.
    pub const fn new(out: W, marks: bool) -> Self {
        Self { out, frame: String::new(), marks, open: false, cursor: None, at: None }
    }

    fn begin(&mut self) {
        if !self.open {
            self.open = true;
            if self.marks {
                self.frame.push_str(BEGIN);
            }
        }
    }
}

impl<W: Write> Backend for Frugal<W> {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut pen = Pen::DEFAULT;
        // Column and row after the last cell, while it is certain: a character may be wider than assumed.
        let mut next: Option<(u16, u16)> = None;
        for (x, y, cell) in content {
            self.begin();
            // Writing moves the cursor.
            self.at = None;
            let _ = match next {
                Some(place) if place == (x, y) => Ok(()),
                Some((_, row)) if row == y => write!(self.frame, "\x1b[{}G", x + 1),
                _ if x == 0 => write!(self.frame, "\x1b[{}H", y + 1),
                _ => write!(self.frame, "\x1b[{};{}H", y + 1, x + 1),
            };
            next = Some((x + 1, y));
            let style = Pen::new(cell);
            pen.change(style, &mut self.frame);
            pen = style;
            self.frame.push_str(cell.symbol());
        }
        pen.change(Pen::DEFAULT, &mut self.frame);
        Ok(())
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        if self.cursor.replace(false) != Some(false) {
            self.frame.push_str("\x1b[?25l");
        }
        Ok(())
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        if self.cursor.replace(true) != Some(true) {
            self.frame.push_str("\x1b[?25h");
        }
        Ok(())
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        // Never queried: the reply would arrive in another thread, and not every terminal sends one. Each frame sets the
        // position.
        Ok(self.at.unwrap_or_default())
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        let p = position.into();
        if self.at.replace(p) != Some(p) {
            let _ = write!(self.frame, "\x1b[{};{}H", p.y + 1, p.x + 1);
        }
        Ok(())
    }

    fn clear(&mut self) -> io::Result<()> {
        self.clear_region(ClearType::All)
    }

    fn clear_region(&mut self, what: ClearType) -> io::Result<()> {
        // Another program may have used the terminal.
        (self.cursor, self.at) = (None, None);
        self.begin();
        self.frame.push_str(match what {
            ClearType::All => "\x1b[2J",
            ClearType::AfterCursor => "\x1b[J",
            ClearType::BeforeCursor => "\x1b[1J",
            ClearType::CurrentLine => "\x1b[2K",
            ClearType::UntilNewLine => "\x1b[K",
        });
        Ok(())
    }

    fn append_lines(&mut self, n: u16) -> io::Result<()> {
        self.frame.extend(std::iter::repeat_n('\n', usize::from(n)));
        Ok(())
    }

    fn size(&self) -> io::Result<Size> {
        crossterm::terminal::size().map(|(width, height)| bounded(Size { width, height }))
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize { columns_rows: self.size()?, pixels: Size::default() })
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.frame.is_empty() {
            return Ok(());
        }
        let changed = std::mem::take(&mut self.open);
        let asks = changed && link().answers();
        if asks {
            self.frame.push_str(READY);
        }
        if changed && self.marks {
            self.frame.push_str(END);
        }
        let start = Instant::now();
        if asks {
            link().asked(self.frame.len(), start);
        }
        let written = self.out.write_all(self.frame.as_bytes()).and_then(|()| self.out.flush());
        self.frame.clear();
        if !asks {
            link().wrote(start.elapsed(), Instant::now());
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::buffer::Buffer;
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    /// Writer whose bytes can be inspected.
    #[derive(Clone, Default)]
    struct Wire(std::rc::Rc<std::cell::RefCell<Vec<u8>>>);

    impl Wire {
        fn len(&self) -> usize {
            self.0.borrow().len()
        }
    }

    impl Write for Wire {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Bytes sent for the change from one buffer to another.
    fn sent(out: &mut Frugal<Wire>, wire: &Wire, from: &Buffer, to: &Buffer) -> String {
        let before = wire.len();
        out.draw(from.diff(to).into_iter()).unwrap();
        out.hide_cursor().unwrap();
        Backend::flush(out).unwrap();
        String::from_utf8(wire.0.borrow()[before..].to_vec()).unwrap()
    }

    #[test]
    fn only_changes_are_sent_one_update_per_frame() {
        let empty = Buffer::empty(Rect::new(0, 0, 40, 3));
        let mut full = empty.clone();
        full.set_string(0, 0, "hello", Style::new());
        let wire = Wire::default();
        let mut out = Frugal::new(wire.clone(), true);
        let first = sent(&mut out, &wire, &empty, &full);
        assert!(first.starts_with("\x1b[?2026h\x1b[1Hhello") && first.ends_with("\x1b[?2026l"), "{first:?}");
        assert_eq!(sent(&mut out, &wire, &full, &full), "");
        let mut one = full.clone();
        one.set_string(4, 0, "!", Style::new());
        let change = sent(&mut out, &wire, &full, &one);
        assert!(change.contains("\x1b[1;5H!") && !change.contains("hell") && change.len() < 60, "{change:?}");
        let mut bare = Frugal::new(wire.clone(), false);
        assert!(!sent(&mut bare, &wire, &empty, &full).contains("2026"));
        // The cursor is sent once, when it changes.
        out.show_cursor().unwrap();
        out.set_cursor_position((3, 2)).unwrap();
        Backend::flush(&mut out).unwrap();
        let before = wire.len();
        out.show_cursor().unwrap();
        out.set_cursor_position((3, 2)).unwrap();
        Backend::flush(&mut out).unwrap();
        assert_eq!(wire.len(), before);
        // After another program used the terminal its state is unknown.
        out.clear().unwrap();
        Backend::flush(&mut out).unwrap();
        out.set_cursor_position((3, 2)).unwrap();
        Backend::flush(&mut out).unwrap();
        assert!(wire.0.borrow().ends_with(b"\x1b[3;4H"));
    }
}
