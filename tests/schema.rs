//! Output in JSON against `sockscope schema`: every object has only the keys and types stated, and every key is stated.

// Tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::Value;
use std::collections::BTreeSet;
use std::process::{Command, Stdio};

fn output(args: &[&str]) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_sockscope"))
        .args(args)
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8(out.stdout).unwrap()
}

fn schema() -> Value {
    serde_json::from_str(&output(&["schema"])).unwrap()
}

/// The schema and one of its definitions.
struct Validator<'a> {
    root: &'a Value,
    name: String,
}

fn validator<'a>(root: &'a Value, name: &str) -> Validator<'a> {
    assert!(root["$defs"][name].is_object(), "no definition of {name}");
    Validator { root, name: name.to_owned() }
}

impl Validator<'_> {
    fn errors(&self, v: &Value) -> Vec<String> {
        let mut out = vec![];
        validate(self.root, &self.root["$defs"][&self.name], v, &self.name, &mut out);
        out
    }

    fn is_valid(&self, v: &Value) -> bool {
        self.errors(v).is_empty()
    }
}

/// Keywords of JSON Schema (draft 2020-12) that the schema may use: those that [`validate`] knows, and annotations.
const KEYWORDS: [&str; 13] = [
    "$ref",
    "allOf",
    "oneOf",
    "if",
    "then",
    "else",
    "type",
    "enum",
    "items",
    "properties",
    "required",
    "additionalProperties",
    "description",
];

/// The name of a value's type; an integer is a number too.
const fn type_of(v: &Value) -> &'static str {
    match v {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Checks a value against a schema; each error names the place. Keywords stand beside each other, and each is checked.
fn validate(root: &Value, schema: &Value, v: &Value, place: &str, out: &mut Vec<String>) {
    let Some(keywords) = schema.as_object() else {
        if schema == &Value::Bool(false) {
            out.push(format!("{place}: not allowed"));
        }
        return;
    };
    let fits = |schema: &Value| {
        let mut errors = vec![];
        validate(root, schema, v, place, &mut errors);
        errors.is_empty()
    };
    for (keyword, value) in keywords {
        assert!(KEYWORDS.contains(&keyword.as_str()), "{place}: keyword {keyword}");
        let list = || value.as_array().unwrap_or_else(|| panic!("{place}: {keyword} is no array"));
        match keyword.as_str() {
            "$ref" => {
                let target = root.pointer(value.as_str().unwrap().trim_start_matches('#'));
                validate(root, target.unwrap_or_else(|| panic!("{value}")), v, place, out);
            }
            "allOf" => {
                for part in list() {
                    validate(root, part, v, place, out);
                }
            }
            "oneOf" => {
                let fitting = list().iter().filter(|s| fits(s)).count();
                if fitting != 1 {
                    for choice in list() {
                        validate(root, choice, v, place, out);
                    }
                    out.push(format!("{place}: {fitting} of the choices fit"));
                }
            }
            "if" => {
                let branch = if fits(value) { keywords.get("then") } else { keywords.get("else") };
                if let Some(branch) = branch {
                    validate(root, branch, v, place, out);
                }
            }
            "type" => {
                let names: Vec<&str> = match value {
                    Value::String(one) => vec![one],
                    _ => list().iter().filter_map(Value::as_str).collect(),
                };
                let integer = v.is_u64() || v.is_i64();
                if !names.iter().any(|t| *t == type_of(v) || (*t == "integer" && integer)) {
                    out.push(format!("{place}: {v} is not {names:?}"));
                }
            }
            "enum" if !list().contains(v) => out.push(format!("{place}: {v} is none of {value}")),
            "items" => {
                for (i, item) in v.as_array().into_iter().flatten().enumerate() {
                    validate(root, value, item, &format!("{place}[{i}]"), out);
                }
            }
            "required" => {
                let missing =
                    list().iter().filter_map(Value::as_str).filter(|k| v.is_object() && v.get(k).is_none());
                out.extend(missing.map(|k| format!("{place}: {k} is missing")));
            }
            "properties" => {
                for (key, property) in value.as_object().unwrap() {
                    if let Some(item) = v.get(key) {
                        validate(root, property, item, &format!("{place}.{key}"), out);
                    }
                }
            }
            "additionalProperties" => {
                assert_eq!(value, &Value::Bool(false), "{place}");
                let known = |key: &str| keywords["properties"].get(key).is_some();
                let others = v.as_object().into_iter().flatten().filter(|(key, _)| !known(key));
                out.extend(others.map(|(key, _)| format!("{place}: {key} is not in the schema")));
            }
            _ => {}
        }
    }
}

fn assert_valid(validator: &Validator<'_>, v: &Value, about: &str) {
    let errors = validator.errors(v);
    assert!(errors.is_empty(), "{about}: {}\n{v}", errors.join("\n"));
}

fn keys(v: &Value) -> BTreeSet<String> {
    v.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn output_fits_the_schema() {
    let root = schema();
    for (command, name, few) in [
        ("list", "sockets", "process,pid"),
        ("ports", "ports", "process,pid"),
        ("processes", "processes", "comm,pid"),
        ("peers", "peers", "addr"),
        ("limits", "limits", "process,pid"),
        ("forwards", "forwards", "process,pid"),
        ("map", "edges", "from,to"),
        ("events", "events", "process,pid"),
        ("dns", "questions", "process,pid"),
    ] {
        // A stream ends after a number of rows.
        let stream = matches!(command, "events" | "dns");
        let ends: &[&str] = if stream { &["--count", "9"] } else { &[] };
        let any = validator(&root, name);
        let default = validator(&root, &format!("{name}_default"));
        for more in [&[][..], &["-c", "all"], &["-c", few]] {
            let args = [&["--demo", command, "--json"], more, ends].concat();
            let rows: Value = serde_json::from_str(&output(&args)).unwrap();
            let rows = rows.as_array().unwrap();
            assert!(!rows.is_empty(), "{args:?}");
            for row in rows {
                assert_valid(if more.is_empty() { &default } else { &any }, row, command);
            }
            if more == ["-c", "all"] {
                assert_eq!(keys(&rows[0]), keys(&root["$defs"][name]["properties"]), "{command} -c all");
            }
        }
        if stream {
            continue;
        }
        let args = ["--demo", command, "-f", "ndjson", "--watch=200ms", "--timeout", "500ms"];
        let events = output(&args);
        assert!(events.lines().count() > 0, "{command}");
        let event = validator(&root, &format!("{name}_event"));
        for line in events.lines() {
            assert_valid(&event, &serde_json::from_str(line).unwrap(), command);
        }
    }
    for args in [&["--demo", "check", "--json"][..], &["check", "--json", "--proc-root", "/nonexistent"]] {
        let v: Value = serde_json::from_str(&output(args)).unwrap();
        assert_valid(&validator(&root, "check"), &v, "check");
    }
}

#[test]
fn default_row_has_the_keys_of_its_protocol() {
    let root = schema();
    let default = validator(&root, "sockets_default");
    // A captured tree with a socket of each kind.
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("net")).unwrap();
    for (file, head, line) in [
        (
            "tcp",
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
            "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 12345 1 0 100 0 0 10 0",
        ),
        (
            "unix",
            "Num       RefCount Protocol Flags    Type St Inode Path",
            "0000000000000000: 00000002 00000000 00010000 0001 01 20001 /run/x.sock",
        ),
        (
            "netlink",
            "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode",
            "0000000000000000 0   1000       00000000 0        0        0     2        0        30001",
        ),
    ] {
        std::fs::write(dir.path().join("net").join(file), format!("{head}\n{line}\n")).unwrap();
    }
    let tree = dir.path().to_str().unwrap();
    let rows: Value =
        serde_json::from_str(&output(&["list", "--json", "--proc-root", tree, "proto:tcp,unix,netlink"]))
            .unwrap();
    let mut by_proto = std::collections::BTreeMap::new();
    for row in rows.as_array().unwrap() {
        assert_valid(&default, row, "list");
        by_proto.insert(row["proto"].as_str().unwrap().to_owned(), row.clone());
    }
    assert!(by_proto.len() == 3, "{:?}", by_proto.keys());
    let (tcp, unix) = (keys(&by_proto["tcp"]), keys(&by_proto["unix"]));
    assert!(tcp.contains("timer") && tcp.contains("local_port") && !tcp.contains("vfs_inode"), "{tcp:?}");
    assert!(
        unix.contains("vfs_inode") && !unix.contains("timer") && !unix.contains("local_port"),
        "{unix:?}"
    );
    assert!(
        tcp.iter()
            .chain(&unix)
            .all(|k| !k.starts_with("xdp") && !k.starts_with("tipc") && !k.starts_with("sctp"))
    );
    // A key more and a key less are both errors.
    let mut more = by_proto["tcp"].clone();
    more["vfs_inode"] = Value::Null;
    assert!(!default.is_valid(&more));
    let mut fewer = by_proto["tcp"].clone();
    fewer.as_object_mut().unwrap().remove("timer");
    assert!(!default.is_valid(&fewer));
}

#[test]
fn validator_finds_what_does_not_fit() {
    let root = schema();
    let bad = |name: &str, text: &str| {
        validator(&root, name).errors(&serde_json::from_str(text).unwrap()).join("\n")
    };
    assert!(bad("sockets", "{\"proto\": 1}").contains("proto"));
    assert!(bad("sockets", "{\"no_such\": 1}").contains("no_such"));
    let head = "\"time\": 1, \"hostname\": \"a\"";
    assert!(
        bad("check", &format!("{{{head}, \"status\": \"OK\", \"exit\": 0.5, \"limits\": []}}"))
            .contains("exit")
    );
    assert!(bad("check", &format!("{{{head}, \"status\": \"OK\", \"limits\": []}}")).contains("exit"));
    let event = format!("{{\"event\": \"burst\", {head}, \"id\": {{}}, \"before\": null, \"after\": null}}");
    assert!(bad("ports_event", &event).contains("burst"));
}
