//! Views as text: opened by name, saved under one, kept from run to run.

use super::app::{App, Options};
use super::view_state::ViewState;
use crate::filter::Names;
use crate::format::Column;
use crate::table::{self, columns};
use crate::view::preset::{NO_GROUPS, Preset, Session};
use crate::view::sort::{self, SortKey};

fn keys(sort: &[SortKey]) -> Option<String> {
    let one = |k: &SortKey| format!("{}{}", k.column.name, if k.descending { ":desc" } else { "" });
    (!sort.is_empty()).then(|| sort.iter().map(one).collect::<Vec<_>>().join(","))
}

impl ViewState {
    /// What is asked of this view now, as text.
    pub(crate) fn preset(&self) -> Preset {
        let all: Vec<&Column> = self.columns().collect();
        Preset {
            table: Some(self.view.table.noun.to_owned()),
            filter: if self.error.is_none() { self.text.trim().to_owned() } else { String::new() },
            group_by: (self.view.table.groupings.len() > 1)
                .then(|| self.grouping_name().unwrap_or(NO_GROUPS).to_owned()),
            sort: keys(&self.view.sort).filter(|_| self.view.sort != sort::default(self.view.table)),
            columns: self.is_picked().then(|| all.iter().map(|c| c.name).collect::<Vec<_>>().join(",")),
        }
    }

    /// Asks that; what is not said is as usual. What cannot be asked of this table stays as usual too.
    pub(crate) fn apply(&mut self, p: &Preset, names: Names<'_>) {
        self.set_filter(p.filter.clone(), names);
        let group = p.group_by.as_deref();
        let found = self.view.table.groupings.iter().position(|g| match g.name {
            Some(name) => group == Some(name),
            None => group == Some(NO_GROUPS),
        });
        self.set_grouping(found.unwrap_or(0));
        let table = self.view.table;
        let sort = p.sort.as_deref().and_then(|s| sort::parse(s, table).ok());
        self.view.sort = sort.unwrap_or_else(|| sort::default(table));
        self.pick(p.columns.as_deref().and_then(|c| columns(c, table).ok()));
    }
}

impl App {
    /// Shows the view of that name: a table, else one of the user's. Whether there is one.
    pub(crate) fn open_view(&mut self, name: &str) -> bool {
        let preset = self.options.views.get(name).cloned();
        let word = preset.as_ref().map_or(name, |p| p.table.as_deref().unwrap_or("sockets"));
        let Some(at) =
            table::table(word).and_then(|t| self.view_states.iter().position(|s| s.view.table == t))
        else {
            return false;
        };
        self.active = at;
        self.overlay = None;
        self.details_top = 0;
        if let Some(p) = preset {
            self.view_states[at].apply(&p, self.options.names());
        }
        true
    }

    /// As it was left.
    pub(crate) fn resume(&mut self, session: &Session) {
        for (name, p) in &session.views {
            if let Some(view_state) = self.view_states.iter_mut().find(|s| s.view.table.noun == name) {
                view_state.apply(p, self.options.names());
            }
        }
        self.open_view(&session.view);
    }

    /// How it stands, to go on from there another time.
    pub fn session(&self) -> Session {
        Session {
            view: self.view_state().view.table.noun.to_owned(),
            views: self.view_states.iter().map(|s| (s.view.table.noun.to_owned(), s.preset())).collect(),
        }
    }
}

/// The lines of the list of what was saved: filters, then views.
pub(crate) fn saved(options: &Options) -> Vec<(String, String)> {
    let filters = options.saved.iter().map(|(name, text)| (format!("@{name}"), text.clone()));
    let views = options.views.iter().map(|(name, p)| (name.clone(), p.summary()));
    filters.chain(views).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::preset::Presets;

    fn app(session: Option<Session>, view: Option<&str>) -> App {
        let web = Preset {
            table: Some("sockets".into()),
            filter: "port:443".into(),
            group_by: Some("remote".into()),
            sort: Some("recv_q:desc".into()),
            columns: Some("proto,local,remote".into()),
        };
        let views = Presets::from([("web".to_owned(), web)]);
        App::new(Options { views, session, view: view.map(str::to_owned), ..Options::default() })
    }

    #[test]
    fn a_view_is_what_was_saved_of_it() {
        let a = app(None, Some("web"));
        let p = a.view_state().preset();
        assert_eq!(Some(&p), a.options.views.get("web"));
        assert_eq!(
            a.view_state().columns().map(|c| c.name).collect::<Vec<_>>(),
            ["proto", "local", "remote"]
        );
        assert_eq!(app(None, Some("processes")).view_state().view.table.noun, "processes");
        assert_eq!(app(None, None).view_state().view.table.noun, "sockets");
    }

    #[test]
    fn it_goes_on_as_it_was_left() {
        let mut first = app(None, Some("web"));
        first.open_view("ports");
        let left = first.session();
        let text = serde_json::to_string(&left).unwrap();
        let again = app(Some(serde_json::from_str(&text).unwrap()), None);
        assert_eq!(again.session(), left);
        assert_eq!(again.view_state().view.table.noun, "ports");
        assert_eq!(again.view_states[0].text, "port:443");
        // What a later version says of tables that this one has not is passed over.
        let strange = Session { view: "x".into(), views: Presets::from([("y".into(), Preset::default())]) };
        assert_eq!(app(Some(strange), None).session(), app(None, None).session());
    }
}
