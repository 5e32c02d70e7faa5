//! A filter from the value of a cell.

use super::ast::Expr;
use super::name::quote;
use super::{Filter, operand};
use crate::format::{self, Column, Role, Value};
use crate::model::{Endpoint, Snapshot};
use crate::table::Table;

/// The filter for rows with the same value in this column as this row.
pub fn filter_from_cell(
    table: &'static Table,
    column: &'static Column,
    snap: &Snapshot,
    row: usize,
) -> Option<String> {
    // The owner column holds name and pid; the filter is for all processes of that name.
    let column = match column.role {
        Some(Role::Owner) => table.with_role(Role::Process).unwrap_or(column),
        _ => column,
    };
    let name = column.name;
    let (snap, row) = snap.at(table.id, row);
    Some(match column.value(snap, row) {
        Value::Missing(_) => format!("{name}:none"),
        Value::State(s) => format!("{name}:{}", s.info().name.to_ascii_lowercase().replace('_', "-")),
        Value::Addr(a) => format!("{name}:{a}"),
        v @ Value::Zoned { .. } => address_filter(name, &format::exact(&v)),
        Value::Endpoint(e) => format!("{name}:{}", endpoint_text(&e)),
        Value::Bool(b) => format!("{name}={}", if b { "yes" } else { "no" }),
        Value::Uint(n) => format!("{name}={n}"),
        Value::Text(s) => format!("{name}={}", quote(&s)),
        // An exact measurement rarely repeats, so the filter is for at least that much.
        Value::Float(n) | Value::AtLeast(n) => format!("{name}>={:.0}", n.floor()),
        Value::States(_) | Value::Levels(_) | Value::List(_) | Value::Record(_) => return None,
    })
}

/// The filter for an address or endpoint in a column, as it is shown.
pub fn address_filter(column: &str, text: &str) -> String {
    // An interface may have a name that the notation of addresses does not take; text is then compared.
    if operand::is_host(text) { format!("{column}:{text}") } else { format!("{column}={}", quote(text)) }
}

/// An endpoint in filter syntax.
pub fn endpoint_text(e: &Endpoint) -> String {
    if e.addr.is_v4() { format!("{}:{}", e.addr, e.port) } else { format!("[{}]:{}", e.addr, e.port) }
}

/// Conjunction of two filters, as text.
pub fn and_text(text: &str, more: &str, filter: &Filter) -> String {
    let text = text.trim();
    match filter.expr() {
        _ if text.is_empty() => more.to_owned(),
        Some(Expr::Or(_)) => format!("({text}) {more}"),
        _ => format!("{text} {more}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::TABLES;
    use crate::testing::machine;

    #[test]
    fn filter_from_cell_matches_its_row() {
        let snap = machine();
        let mut made = 0;
        for table in TABLES {
            for column in table.columns {
                for row in 0..(table.len)(&snap) {
                    let Some(text) = filter_from_cell(table, column, &snap, row) else { continue };
                    let f =
                        Filter::parse(&text, table).unwrap_or_else(|e| panic!("{}: {text}: {e}", table.name));
                    assert!(f.matches(&snap, row), "{}: {text} over row {row}", table.name);
                    made += 1;
                }
            }
        }
        assert!(made > 500, "{made}");
    }

    #[test]
    fn and_text_keeps_precedence() {
        let table = TABLES[0];
        let f = |t: &str| Filter::parse(t, table).unwrap();
        assert_eq!(and_text("", "pid=1", &f("")), "pid=1");
        assert_eq!(and_text("nginx", "pid=1", &f("nginx")), "nginx pid=1");
        assert_eq!(and_text("a or b", "pid=1", &f("a or b")), "(a or b) pid=1");
    }
}
