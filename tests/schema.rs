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

/// Checks a value against the keywords that the schema uses; an error names the place.
fn valid(root: &Value, schema: &Value, v: &Value, place: &str) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = root.pointer(reference.trim_start_matches('#')).ok_or_else(|| reference.to_owned())?;
        return valid(root, target, v, place);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fitting = choices.iter().filter(|c| valid(root, c, v, place).is_ok()).count();
        return if fitting == 1 { Ok(()) } else { Err(format!("{place}: {fitting} of the choices fit {v}")) };
    }
    let types = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    let integer = v.is_u64() || v.is_i64();
    if !types.iter().any(|t| *t == type_of(v) || (*t == "integer" && integer)) {
        return Err(format!("{place}: {v} is not {types:?}"));
    }
    if let Some(names) = schema["enum"].as_array()
        && !names.contains(v)
    {
        return Err(format!("{place}: {v} is none of {names:?}"));
    }
    for (i, item) in v.as_array().into_iter().flatten().enumerate() {
        if !schema["items"].is_null() {
            valid(root, &schema["items"], item, &format!("{place}[{i}]"))?;
        }
    }
    let Some(object) = v.as_object() else { return Ok(()) };
    let Some(properties) = schema["properties"].as_object() else { return Ok(()) };
    for (key, value) in object {
        let property = properties.get(key).ok_or_else(|| format!("{place}: {key} is not in the schema"))?;
        valid(root, property, value, &format!("{place}.{key}"))?;
    }
    for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !object.contains_key(key) {
            return Err(format!("{place}: {key} is missing"));
        }
    }
    Ok(())
}

fn assert_valid(root: &Value, name: &str, v: &Value, about: &str) {
    let definition = root["$defs"].get(name).unwrap_or_else(|| panic!("no definition of {name}"));
    valid(root, definition, v, about).unwrap();
}

#[test]
fn output_fits_the_schema() {
    let root: Value = serde_json::from_str(&output(&["schema"])).unwrap();
    for (command, name) in [
        ("list", "sockets"),
        ("ports", "ports"),
        ("processes", "processes"),
        ("peers", "peers"),
        ("limits", "limits"),
        ("forwards", "forwards"),
        ("map", "edges"),
    ] {
        for more in [&[][..], &["-c", "all"]] {
            let args = [&["--demo", command, "--json"], more].concat();
            let rows: Value = serde_json::from_str(&output(&args)).unwrap();
            let rows = rows.as_array().unwrap();
            assert!(!rows.is_empty(), "{args:?}");
            for row in rows {
                assert_valid(&root, name, row, command);
            }
            if !more.is_empty() {
                let keys = |v: &Value| v.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
                assert_eq!(keys(&rows[0]), keys(&root["$defs"][name]["properties"]), "{command} -c all");
            }
        }
        let args = ["--demo", command, "-f", "ndjson", "--watch=200ms", "--timeout", "500ms"];
        let events = output(&args);
        assert!(events.lines().count() > 0, "{command}");
        for line in events.lines() {
            assert_valid(&root, &format!("{name}_event"), &serde_json::from_str(line).unwrap(), command);
        }
    }
    for args in [&["--demo", "check", "--json"][..], &["check", "--json", "--proc-root", "/nonexistent"]] {
        let v: Value = serde_json::from_str(&output(args)).unwrap();
        assert_valid(&root, "check", &v, "check");
    }
}

#[test]
fn validator_finds_what_does_not_fit() {
    let root: Value = serde_json::from_str(&output(&["schema"])).unwrap();
    let bad = |name: &str, text: &str| {
        let v = serde_json::from_str(text).unwrap();
        valid(&root, &root["$defs"][name], &v, name).unwrap_err()
    };
    assert!(bad("sockets", "{\"proto\": 1}").contains("proto"));
    assert!(bad("sockets", "{\"no_such\": 1}").contains("not in the schema"));
    assert!(bad("check", "{\"status\": \"OK\", \"exit\": 0.5, \"limits\": []}").contains("exit"));
    assert!(bad("check", "{\"status\": \"OK\", \"limits\": []}").contains("exit is missing"));
    let event = "{\"event\": \"burst\", \"time\": 1, \"id\": {}, \"before\": null, \"after\": null}";
    assert!(bad("ports_event", event).contains("burst"));
}
