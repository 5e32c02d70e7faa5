//! The rows of a view, sorted and grouped.

use super::NoMatch;
use super::group::Group;

/// The rows of a view in one snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arranged {
    /// Row numbers in order, group after group.
    pub rows: Vec<u32>,
    /// Groups, each before its inner ones; empty without grouping.
    pub groups: Vec<Group>,
    /// Number of rows before filtering.
    pub total: usize,
    /// Reason why there are no rows.
    pub no_match: Option<Box<NoMatch>>,
}

/// One line of a list with groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// The header of a group: its index in [`Arranged::groups`].
    Group(u32),
    /// A row: its number in the snapshot.
    Row(u32),
}

impl Arranged {
    /// The rows of a group.
    pub fn members(&self, g: &Group) -> &[u32] {
        self.rows.get(g.start as usize..(g.start + g.len) as usize).unwrap_or_default()
    }

    /// Lines to show; of a folded group only its header.
    pub fn lines(&self, folded: &dyn Fn(u64, u8) -> bool) -> Vec<Line> {
        let mut out = Vec::with_capacity(self.rows.len() + self.groups.len());
        let mut at = 0usize;
        let mut i = 0;
        while i < self.groups.len() {
            let g = &self.groups[i];
            let (start, end) = (g.start as usize, (g.start + g.len) as usize);
            // Rows of the outer group before this one.
            out.extend(self.rows[at.min(start)..start].iter().map(|r| Line::Row(*r)));
            out.push(Line::Group(i as u32));
            at = start;
            i += 1;
            if folded(g.id, g.depth) {
                at = end;
                while self.groups.get(i).is_some_and(|inner| inner.depth > g.depth) {
                    i += 1;
                }
            }
        }
        out.extend(self.rows[at.min(self.rows.len())..].iter().map(|r| Line::Row(*r)));
        out
    }
}
