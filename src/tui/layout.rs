//! Screen layout: a pure function of size and state, used for drawing, hit tests and scrolling.

pub(crate) mod content_width;
pub(crate) mod filter_bar;
pub(crate) mod key_bar;
pub(crate) mod name_prompt;
pub(crate) mod scroll_bar;
pub(crate) mod slots;
pub(crate) mod state_bar;
pub(crate) mod tabs;
pub(crate) mod top_alert;

use super::app::{App, SIDE_BY_SIDE};
use super::command::Focus;
use ratatui::layout::Rect;

/// State that the layout depends on beside the size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// The filter is edited or not empty.
    pub filter: bool,
    /// The filter has an error, or the name that is entered needs a second line.
    pub error: bool,
    /// The past is shown.
    pub past: bool,
    /// The rows are of several hosts.
    pub hosts: bool,
    /// The details are open.
    pub details: bool,
    /// Size of the details beside and below the table, percent; `None`: the default.
    pub pane: (Option<u16>, Option<u16>),
}

/// Parts of the screen; a part without room is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The whole screen.
    pub all: Rect,
    /// Too small to show data.
    pub tiny: bool,
    /// Name, tabs, what runs.
    pub header: Rect,
    /// States of several hosts.
    pub hosts: Rect,
    /// Counts by state.
    pub state_bar: Rect,
    /// Time bar of the past.
    pub time_bar: Rect,
    /// The filter.
    pub filter: Rect,
    /// Error of the filter, or the second line of the name that is entered.
    pub error: Rect,
    /// Draws the column titles.
    pub head: Rect,
    /// Rows.
    pub body: Rect,
    /// The details pane.
    pub details: Rect,
    /// True if the details are beside the table.
    pub beside: bool,
    /// Status line.
    pub status: Rect,
    /// Key bar.
    pub keys: Rect,
}

/// Minimum width for details beside the table.
pub const WIDE: u16 = 150;

/// Minimum width of table and details beside each other.
const SIDE: u16 = 52;

/// Least height for windows that leave the header and the key bar visible.
const TALL: u16 = 20;

/// Least height for windows that leave the key bar visible.
const LOW: u16 = 12;

/// Minimum size of the screen: columns and lines.
pub const MIN_SIZE: (u16, u16) = (20, 4);

impl Layout {
    /// The layout of a screen of this size.
    pub fn new(all: Rect, shape: Shape) -> Self {
        let (w, h) = (all.width, all.height);
        let mut l = Self { all, ..Self::default() };
        if w < MIN_SIZE.0 || h < MIN_SIZE.1 {
            l.tiny = true;
            return l;
        }
        let mut top = all.y;
        let mut bottom = all.bottom();
        let mut take = |on: bool| {
            let r = Rect::new(all.x, top, w, u16::from(on));
            top += u16::from(on);
            r
        };
        l.header = take(true);
        l.hosts = take(shape.hosts && h >= 6);
        l.state_bar = take(h >= 11);
        l.time_bar = take(shape.past && h >= 9);
        l.filter = take(h >= 9 || shape.filter);
        l.error = take(shape.error && h >= 6);
        let mut take_below = |on: bool| {
            bottom -= u16::from(on);
            Rect::new(all.x, bottom, w, u16::from(on))
        };
        l.keys = take_below(h >= 7);
        l.status = take_below(h >= 13);
        let mut main = Rect::new(all.x, top, w, bottom.saturating_sub(top));
        if shape.details {
            if w >= WIDE {
                let side = match shape.pane.0 {
                    Some(p) => (w * p / 100).clamp(SIDE, w - SIDE),
                    None => (w * 2 / 5).clamp(SIDE, 84),
                };
                l.details = Rect::new(main.right() - side, main.y, side, main.height);
                main.width -= side;
                l.beside = true;
            } else if main.height >= 12 {
                let share = shape.pane.1.unwrap_or(55);
                let below = (main.height * share / 100).clamp(4, main.height - 4);
                l.details = Rect::new(main.x, main.bottom() - below, w, below);
                main.height -= below;
            } else {
                l.details = main;
                main.height = 0;
            }
        }
        if main.height >= 2 {
            l.head = Rect { height: 1, ..main };
            main.y += 1;
            main.height -= 1;
        }
        l.body = main;
        l
    }
}

impl Layout {
    /// Area of windows: without the key bar, and on a tall screen without the header, which stay visible.
    pub fn windows(&self) -> Rect {
        if self.all.height < TALL {
            return self.above_keys();
        }
        let (top, bottom) = (self.header.bottom(), self.keys.y);
        Rect { y: top, height: bottom.saturating_sub(top), ..self.all }
    }

    /// The screen without the key bar; all of a low one, where a window needs every line.
    pub fn above_keys(&self) -> Rect {
        if self.all.height < LOW {
            return self.all;
        }
        Rect { height: self.keys.y.saturating_sub(self.all.y), ..self.all }
    }
}

impl App {
    /// The current layout.
    pub fn layout(&self) -> Layout {
        self.layout_in(self.area)
    }

    pub(crate) fn layout_in(&self, area: Rect) -> Layout {
        let view_state = self.view_state();
        Layout::new(
            area,
            Shape {
                filter: matches!(self.focus(), Focus::Filter | Focus::Name) || !view_state.text.is_empty(),
                error: view_state.error.is_some() || name_prompt::is_long(self, area.width),
                past: self.past.is_some(),
                hosts: self.options.hosts,
                details: self.details || (self.shows_details() && area.width >= SIDE_BY_SIDE),
                pane: self.pane,
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_overlap_or_leave_the_screen() {
        for w in (0..=30).chain([60, 80, 120, 149, 150, 200, 400]) {
            for h in (0..=40).chain([60, 200]) {
                for bits in 0..128u8 {
                    let pane = [None, Some(0), Some(30), Some(100)][usize::from(bits >> 4 & 3)];
                    let shape = Shape {
                        filter: bits & 1 != 0,
                        error: bits & 2 != 0,
                        details: bits & 4 != 0,
                        past: bits & 8 != 0,
                        hosts: bits & 64 != 0,
                        pane: (pane, pane),
                    };
                    let all = Rect::new(0, 0, w, h);
                    let l = Layout::new(all, shape);
                    let parts = [
                        l.header,
                        l.hosts,
                        l.state_bar,
                        l.time_bar,
                        l.filter,
                        l.error,
                        l.head,
                        l.body,
                        l.details,
                        l.status,
                        l.keys,
                    ];
                    let sum: u32 = parts.iter().map(|r| r.area()).sum();
                    for (i, a) in parts.iter().enumerate() {
                        assert_eq!(a.intersection(all).area(), a.area(), "{w}x{h} {shape:?}");
                        for b in &parts[i + 1..] {
                            assert_eq!(a.intersection(*b).area(), 0, "{w}x{h} {shape:?} {l:?}");
                        }
                    }
                    if !l.tiny {
                        assert_eq!(sum, all.area(), "{w}x{h} {shape:?} {l:?}");
                        assert!(l.body.height + l.details.height > 0, "{w}x{h} {shape:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn windows_leave_the_key_bar_visible_from_twelve_lines() {
        for h in 4..=60 {
            let l = Layout::new(Rect::new(0, 0, 60, h), Shape::default());
            for window in [l.windows(), l.above_keys()] {
                assert_eq!(window.intersects(l.keys), (7..LOW).contains(&h), "{h} {window:?}");
            }
        }
    }

    #[test]
    fn screen_of_80x24_has_18_rows() {
        let l = Layout::new(Rect::new(0, 0, 80, 24), Shape::default());
        assert_eq!(l.body.height, 18);
    }
}
