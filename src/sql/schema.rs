//! Tables of SQL, from the registry.

use crate::format::{Column, Storage};
use crate::output::TIME;
use crate::table::{TABLES, Table};

/// The type of a column.
const fn type_name(storage: Storage) -> &'static str {
    match storage {
        Storage::Text | Storage::Json => "TEXT",
        Storage::Boolean => "BOOLEAN",
        Storage::Integer | Storage::Unsigned => "INTEGER",
        Storage::Float => "REAL",
    }
}

/// Statement that makes a table with the time and some of its columns.
pub(super) fn create_table(table: &Table, columns: &[&Column]) -> String {
    let mut out = format!("CREATE TABLE \"{}\" (\"{}\" TEXT", table.noun, TIME.name);
    for c in columns {
        out.push_str(&format!(", \"{}\" {}", c.name, type_name(c.kind.storage())));
    }
    out.push(')');
    out
}

/// Every table with every column and its meaning.
pub fn schema() -> String {
    let mut out = String::new();
    for table in TABLES {
        out.push_str(&format!("-- {}\nCREATE TABLE {} (\n", table.help, table.noun));
        let last = table.columns.len();
        let text = std::iter::once((TIME.name, "TEXT", TIME.help))
            .chain(table.columns.iter().map(|c| (c.name, type_name(c.kind.storage()), c.help)));
        for (i, (name, type_name, help)) in text.enumerate() {
            let comma = if i < last { "," } else { "" };
            let name = if is_keyword(name) { format!("\"{name}\"") } else { name.to_owned() };
            out.push_str(&format!("  {:<34}-- {help}\n", format!("{name} {type_name}{comma}")));
        }
        out.push_str(");\n\n");
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// Names of columns that SQL reserves: they are written in double quotes.
pub(super) const KEYWORDS: [&str; 3] = ["from", "limit", "to"];

/// Returns true if a name must be in double quotes.
pub(super) fn is_keyword(name: &str) -> bool {
    KEYWORDS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    #[test]
    fn columns_that_need_quotes_are_known() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(&schema()).unwrap();
        for table in TABLES {
            for c in table.columns {
                let bare = db.prepare(&format!("SELECT {} FROM {}", c.name, table.noun));
                assert_eq!(bare.is_err(), is_keyword(c.name), "{}.{}", table.noun, c.name);
                assert_ne!(c.name, TIME.name, "{}", table.noun);
            }
        }
    }
}
