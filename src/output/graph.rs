//! The map as a graph: DOT (Graphviz) and Mermaid.

use crate::format::{bytes, thousands};
use crate::model::map::{Map, MapEdge, MapNodeKind};
use crate::model::text::escape;
use std::io::{self, Write};

/// Label of an edge: port, connections, rates.
fn edge_label(e: &MapEdge) -> String {
    let connections = if e.connections == 1 { "connection" } else { "connections" };
    let mut out =
        format!("{}/{} {} {connections}", e.proto.name(), e.port, thousands(u64::from(e.connections)));
    for (rate, to) in [(e.to_server, "to server"), (e.to_client, "to client")] {
        if let Some(rate) = rate.filter(|r| *r >= 1.0) {
            out.push_str(&format!(", {}B/s {to}", bytes(rate)));
        }
    }
    out
}

/// Nodes that the edges of these rows name, by index.
fn named_nodes(map: &Map, rows: &[u32]) -> Vec<u32> {
    let edges = rows.iter().filter_map(|r| map.edges.get(*r as usize));
    let mut out: Vec<u32> = edges.flat_map(|e| [e.client, e.server]).collect();
    out.sort_unstable();
    out.dedup();
    out
}

/// A text as a quoted string of DOT. Control characters are escaped before, so that none is left.
fn dot_string(text: &str) -> String {
    format!("\"{}\"", escape(text).replace('\\', "\\\\").replace('"', "\\\""))
}

/// A text as a quoted label of Mermaid, which knows entity codes and no backslash escapes.
fn mermaid_string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in escape(text).chars() {
        match c {
            // What ends the label, begins an entity, is markup or Markdown.
            '"' | '#' | '&' | '<' | '>' | '`' | ';' | '*' | '_' | '\\' | '[' | ']' | '(' | ')' | '{'
            | '}' | '|' => {
                out.push_str(&format!("#{};", c as u32));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Writes the edges of these rows for Graphviz.
pub(super) fn write_dot(out: &mut dyn Write, map: &Map, rows: &[u32]) -> io::Result<()> {
    writeln!(out, "digraph sockscope {{")?;
    writeln!(
        out,
        "  rankdir=LR; node [shape=box, style=rounded, fontname=\"sans-serif\"]; edge [fontname=\"sans-serif\"];"
    )?;
    for n in named_nodes(map, rows) {
        let Some(node) = map.nodes.get(n as usize) else { continue };
        let shape = match node.kind {
            MapNodeKind::Container => ", shape=box3d",
            MapNodeKind::Remote | MapNodeKind::Remotes => ", shape=ellipse",
            MapNodeKind::Unknown => ", style=\"rounded,dashed\"",
            MapNodeKind::Unit | MapNodeKind::Process => "",
        };
        writeln!(out, "  n{n} [label={}{shape}];", dot_string(&node.name))?;
    }
    for e in rows.iter().filter_map(|r| map.edges.get(*r as usize)) {
        writeln!(out, "  n{} -> n{} [label={}];", e.client, e.server, dot_string(&edge_label(e)))?;
    }
    writeln!(out, "}}")
}

/// Writes the edges of these rows for Mermaid.
pub(super) fn write_mermaid(out: &mut dyn Write, map: &Map, rows: &[u32]) -> io::Result<()> {
    writeln!(out, "flowchart LR")?;
    for n in named_nodes(map, rows) {
        let Some(node) = map.nodes.get(n as usize) else { continue };
        let (open, close) = match node.kind {
            MapNodeKind::Container => ("[[", "]]"),
            MapNodeKind::Remote | MapNodeKind::Remotes => ("([", "])"),
            MapNodeKind::Unit | MapNodeKind::Process | MapNodeKind::Unknown => ("[", "]"),
        };
        writeln!(out, "  n{n}{open}{}{close}", mermaid_string(&node.name))?;
    }
    for e in rows.iter().filter_map(|r| map.edges.get(*r as usize)) {
        writeln!(out, "  n{} -->|{}| n{}", e.client, mermaid_string(&edge_label(e)), e.server)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::map::MapNode;
    use crate::model::{Proto, StateCounts};
    use proptest::prelude::*;

    fn map(names: [&str; 2]) -> Map {
        let nodes = names.map(|n| MapNode { kind: MapNodeKind::Process, name: n.into() });
        let edge = MapEdge {
            client: 0,
            server: 1,
            proto: Proto::Tcp,
            port: 443,
            connections: 2,
            hosts: 0,
            states: StateCounts::default(),
            to_server: Some(2048.0),
            to_client: None,
            client_processes: vec![],
            server_processes: vec![],
            sockets: vec![],
            is_between_hosts: false,
        };
        Map { nodes: nodes.into(), edges: vec![edge] }
    }

    fn written(write: fn(&mut dyn Write, &Map, &[u32]) -> io::Result<()>, map: &Map) -> String {
        let mut out = Vec::new();
        write(&mut out, map, &[0]).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// The quoted strings of DOT in order, as its lexer and the escapes of labels (escString) read them.
    fn dot_strings(text: &str) -> Vec<String> {
        let mut out = Vec::new();
        let mut chars = text.chars();
        while chars.by_ref().any(|c| c == '"') {
            let mut s = String::new();
            loop {
                match chars.next().expect("an end of the string") {
                    '"' => break,
                    '\\' => match chars.next().expect("an escaped character") {
                        c @ ('"' | '\\') => s.push(c),
                        c => panic!("\\{c} has a meaning of its own in a label"),
                    },
                    c => s.push(c),
                }
            }
            out.push(s);
        }
        out
    }

    /// The quoted strings of Mermaid in order, entity codes replaced.
    fn mermaid_strings(text: &str) -> Vec<String> {
        let parts: Vec<&str> = text.split('"').collect();
        assert_eq!(parts.len() % 2, 1, "quotes are in pairs");
        parts
            .iter()
            .skip(1)
            .step_by(2)
            .map(|s| {
                let mut out = String::new();
                let mut rest = *s;
                while let Some((before, after)) = rest.split_once('#') {
                    let (code, tail) = after.split_once(';').expect("an entity");
                    out.push_str(before);
                    out.push(char::from_u32(code.parse().expect("a number")).expect("a character"));
                    rest = tail;
                }
                out + rest
            })
            .collect()
    }

    #[test]
    fn graph_has_nodes_and_labelled_edges() {
        let map = map(["api", "postgres"]);
        assert_eq!(
            dot_strings(&written(write_dot, &map))[2..],
            ["api", "postgres", "tcp/443 2 connections, 2.0KB/s to server"]
        );
        assert!(written(write_mermaid, &map).ends_with(
            "  n0[\"api\"]\n  n1[\"postgres\"]\n  n0 -->|\"tcp/443 2 connections, 2.0KB/s to server\"| n1\n"
        ));
    }

    proptest! {
        #[test]
        fn any_name_stays_within_its_quotes(name in ".*", other in "[\"\\\\#&;\\]\\)|\\n<>`\u{202e}\u{1b}-]*") {
            let map = map([&name, &other]);
            let expected = [escape(&name).into_owned(), escape(&other).into_owned()];
            let dot = written(write_dot, &map);
            prop_assert_eq!(&dot_strings(&dot)[2..4], &expected[..]);
            let mermaid = written(write_mermaid, &map);
            prop_assert_eq!(&mermaid_strings(&mermaid)[..2], &expected[..]);
            // One line for each statement.
            prop_assert_eq!((dot.lines().count(), mermaid.lines().count()), (6, 4));
        }
    }
}
