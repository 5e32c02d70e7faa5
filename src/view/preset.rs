//! Saved views as text, as in the configuration file and in a session.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A saved view. Fields that are missing have their defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Preset {
    /// The table, by name or noun: `sockets`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// A filter.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub filter: String,
    /// The column that groups, or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_by: Option<String>,
    /// Columns to sort by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort: Option<String>,
    /// Columns to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<String>,
}

impl Preset {
    /// One-line summary for a menu.
    pub fn summary(&self) -> String {
        let mut out = self.table.clone().unwrap_or_else(|| "sockets".to_owned());
        for (word, text) in [
            ("", Some(self.filter.as_str()).filter(|f| !f.is_empty())),
            ("by ", self.group_by.as_deref()),
            ("sorted by ", self.sort.as_deref()),
        ] {
            if let Some(text) = text {
                out.push_str("  ");
                out.push_str(word);
                out.push_str(text);
            }
        }
        out
    }
}

/// The grouping of a view without groups.
pub const NO_GROUPS: &str = "none";

/// Views by name.
pub type Presets = BTreeMap<String, Preset>;

/// The last state of the dashboard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Session {
    /// Table shown.
    pub view: String,
    /// Each table's view, by its name.
    pub views: Presets,
}
