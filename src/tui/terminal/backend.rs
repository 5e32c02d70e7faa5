//! Terminal back end: one synchronised update per frame, and no bytes when nothing changed.

use ratatui::backend::{Backend, ClearType, CrosstermBackend, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};
use std::io::{self, Write};

/// Start of a synchronised update (DEC private mode 2026; ignored by terminals without it).
const BEGIN: &[u8] = b"\x1b[?2026h";
const END: &[u8] = b"\x1b[?2026l";

/// The part of a terminal that is drawn: at most 1000 columns and 500 lines. A terminal can claim 65,535 of each, and its cells
/// would not fit into memory.
pub fn bounded(size: Size) -> Size {
    Size::new(size.width.min(1000), size.height.min(500))
}

/// Back end that writes only changes.
///
/// A frame is sent as one synchronised update, so it never appears half drawn; a frame without changes sends no bytes.
#[derive(Debug)]
pub struct Frugal<W: Write> {
    inner: CrosstermBackend<W>,
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
        Self { inner: CrosstermBackend::new(out), marks, open: false, cursor: None, at: None }
    }

    fn begin(&mut self) -> io::Result<()> {
        if self.marks && !self.open {
            self.open = true;
            self.inner.write_all(BEGIN)?;
        }
        Ok(())
    }
}

impl<W: Write> Backend for Frugal<W> {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut content = content.peekable();
        if content.peek().is_none() {
            return Ok(());
        }
        self.begin()?;
        // Writing moves the cursor.
        self.at = None;
        self.inner.draw(content)
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        if self.cursor.replace(false) == Some(false) { Ok(()) } else { self.inner.hide_cursor() }
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        if self.cursor.replace(true) != Some(true) {
            // Called while the terminal is dropped, where an error would be printed on a terminal that is gone. The next flush
            // reports it.
            let _ = self.inner.show_cursor();
        }
        Ok(())
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        // Never queried: the reply would arrive as key events in another thread, and not every terminal sends one. Each frame
        // sets the position.
        Ok(self.at.unwrap_or_default())
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        let position = position.into();
        if self.at.replace(position) == Some(position) {
            return Ok(());
        }
        self.inner.set_cursor_position(position)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.clear_region(ClearType::All)
    }

    fn clear_region(&mut self, what: ClearType) -> io::Result<()> {
        // Another program may have used the terminal.
        (self.cursor, self.at) = (None, None);
        self.begin()?;
        self.inner.clear_region(what)
    }

    fn append_lines(&mut self, n: u16) -> io::Result<()> {
        self.inner.append_lines(n)
    }

    fn size(&self) -> io::Result<Size> {
        self.inner.size().map(bounded)
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        self.inner.window_size()
    }

    fn flush(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.open) {
            self.inner.write_all(END)?;
        }
        Backend::flush(&mut self.inner)
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
        assert!(
            first.starts_with("\x1b[?2026h\x1b[1;1Hhello") && first.ends_with("\x1b[?2026l"),
            "{first:?}"
        );
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
        let before = wire.len();
        out.show_cursor().unwrap();
        out.set_cursor_position((3, 2)).unwrap();
        assert_eq!(wire.len(), before);
        // After another program used the terminal its state is unknown.
        out.clear().unwrap();
        out.set_cursor_position((3, 2)).unwrap();
        assert!(wire.0.borrow().ends_with(b"\x1b[3;4H"));
    }
}
