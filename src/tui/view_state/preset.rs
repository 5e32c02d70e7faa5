//! A view as text: saved under a name, restored in the next run.

use super::ViewState;
use crate::filter::Names;
use crate::format::Column;
use crate::table::columns;
use crate::view::group::grouping_named;
use crate::view::preset::{NO_GROUPS, Preset};
use crate::view::sort::{self, SortKey};

fn sort_text(sort: &[SortKey]) -> Option<String> {
    let key = |k: &SortKey| format!("{}{}", k.column.name, if k.descending { ":desc" } else { "" });
    (!sort.is_empty()).then(|| sort.iter().map(key).collect::<Vec<_>>().join(","))
}

impl ViewState {
    /// Settings of the view, as text.
    pub(crate) fn preset(&self) -> Preset {
        let all: Vec<&Column> = self.columns().collect();
        Preset {
            table: Some(self.view.table.noun.to_owned()),
            filter: if self.error.is_none() { self.text.trim().to_owned() } else { String::new() },
            group_by: (self.groupings().count() > 1)
                .then(|| self.grouping_name().unwrap_or(NO_GROUPS).to_owned()),
            sort: sort_text(&self.view.sort).filter(|_| self.view.sort != sort::default(self.view.table)),
            columns: self
                .has_chosen_columns()
                .then(|| all.iter().map(|c| c.name).collect::<Vec<_>>().join(",")),
        }
    }

    /// Applies settings; missing or invalid ones get their defaults.
    pub(crate) fn apply(&mut self, p: &Preset, names: Names<'_>) {
        self.set_filter(p.filter.clone(), names);
        let group = p.group_by.as_deref();
        let found = self.groupings().position(|g| match g.name {
            Some(name) => group == Some(name),
            None => group == Some(NO_GROUPS),
        });
        let table = self.view.table;
        match group.filter(|_| found.is_none()).and_then(|text| grouping_named(text, table)) {
            Some(grouping) => self.start(None, Some(grouping)),
            None => self.set_grouping(found.unwrap_or(0)),
        }
        let sort = p.sort.as_deref().and_then(|s| sort::parse(s, table).ok());
        self.view.sort = sort.unwrap_or_else(|| sort::default(table));
        self.choose_columns(p.columns.as_deref().and_then(|c| columns(c, table).ok()));
    }
}
