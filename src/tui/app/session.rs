//! Views opened by name, and the session restored in the next run.

use super::App;
use super::options::Options;
use crate::table;
use crate::view::preset::Session;

impl App {
    /// Opens a table or a saved view by name; `false` if there is none.
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

    /// Restores a session.
    pub(crate) fn resume(&mut self, session: &Session) {
        for (name, p) in &session.views {
            if let Some(view_state) = self.view_states.iter_mut().find(|s| s.view.table.noun == name) {
                view_state.apply(p, self.options.names());
            }
        }
        self.open_view(&session.view);
    }

    /// The session, to be restored in the next run.
    pub fn session(&self) -> Session {
        Session {
            view: self.view_state().view.table.noun.to_owned(),
            views: self.view_states.iter().map(|s| (s.view.table.noun.to_owned(), s.preset())).collect(),
        }
    }
}

impl Options {
    /// Saved filters, then saved views: name and summary.
    pub(crate) fn saved_entries(&self) -> Vec<(String, String)> {
        let filters = self.saved.iter().map(|(name, text)| (format!("@{name}"), text.clone()));
        let views = self.views.iter().map(|(name, p)| (name.clone(), p.summary()));
        filters.chain(views).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::preset::{Preset, Presets};

    fn app(session: Option<Session>, view: Option<&str>) -> App {
        let users = Preset {
            table: Some("sockets".into()),
            group_by: Some("user,state".into()),
            ..Preset::default()
        };
        let web = Preset {
            table: Some("sockets".into()),
            filter: "port:443".into(),
            group_by: Some("remote".into()),
            sort: Some("recv_q:desc".into()),
            columns: Some("proto,local,remote".into()),
        };
        let views = Presets::from([("web".to_owned(), web), ("users".to_owned(), users)]);
        App::new(Options { views, session, view: view.map(str::to_owned), ..Options::default() })
    }

    #[test]
    fn saved_view_restores_its_settings() {
        let a = app(None, Some("web"));
        let p = a.view_state().preset();
        assert_eq!(Some(&p), a.options.views.get("web"));
        assert_eq!(
            a.view_state().columns().map(|c| c.name).collect::<Vec<_>>(),
            ["proto", "local", "remote"]
        );
        let users = app(None, Some("users"));
        assert_eq!(Some(&users.view_state().preset()), users.options.views.get("users"));
        assert_eq!(app(None, Some("processes")).view_state().view.table.noun, "processes");
        assert_eq!(app(None, None).view_state().view.table.noun, "sockets");
    }

    #[test]
    fn session_round_trips() {
        let mut first = app(None, Some("web"));
        first.open_view("ports");
        let left = first.session();
        let text = serde_json::to_string(&left).unwrap();
        let again = app(Some(serde_json::from_str(&text).unwrap()), None);
        assert_eq!(again.session(), left);
        assert_eq!(again.view_state().view.table.noun, "ports");
        assert_eq!(again.view_states[0].text, "port:443");
        // Tables of a later version are ignored.
        let strange = Session { view: "x".into(), views: Presets::from([("y".into(), Preset::default())]) };
        assert_eq!(app(Some(strange), None).session(), app(None, None).session());
    }
}
