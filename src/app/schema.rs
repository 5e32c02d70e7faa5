//! `sockscope schema`: JSON Schema of everything printed as JSON, made from the registries.

use crate::format::{Column, Kind};
use crate::output::Event;
use crate::table::TABLES;
use serde_json::{Map, Value, json};

/// Fields of an alert, also of each limit in the JSON of `check`: name, JSON types, meaning.
const ALERT: [(&str, &[&str], &str); 22] = [
    ("host", &["string"], "Host name."),
    ("time", &["number"], "Time of the poll, seconds since 1970."),
    ("limit", &["string"], "Kind of limit: fds, accept, ports and so on."),
    ("subject", &["string"], "Owner of the limit."),
    ("label", &["string"], "Owner in the performance data of check, stable across restarts."),
    ("level", &["string"], "ok, warning or critical."),
    ("used", &["integer"], "Amount in use."),
    ("max", &["integer", "null"], "Limit."),
    ("pct", &["number", "null"], "Usage in percent of the limit."),
    ("per_min", &["number", "null"], "Change per minute."),
    ("full_in_s", &["number", "null"], "Time until full, seconds."),
    ("full_in_low_s", &["number", "null"], "Earliest time until full, seconds."),
    ("full_in_high_s", &["number", "null"], "Latest time until full, seconds."),
    ("drops", &["integer", "null"], "Losses since boot."),
    ("drops_new", &["integer", "null"], "Losses since the previous poll."),
    ("pid", &["integer", "null"], "Process ID, if there is one process."),
    ("process", &["string", "null"], "Its command name."),
    ("finding", &["string", "null"], "Diagnosis in one sentence."),
    ("set_by", &["string"], "Setting that defines the limit."),
    ("advice", &["string"], "Effect when full, and remedy."),
    ("steps", &["array"], "Commands to run."),
    ("suspects", &["array"], "Processes or files that leak descriptors."),
];

/// Fields of the JSON of `check`; `error` and `limits` if it failed.
const CHECK: [(&str, &[&str], &str); 6] = [
    ("status", &["string"], "OK, WARNING, CRITICAL or UNKNOWN."),
    ("exit", &["integer"], "Exit status."),
    ("exceeded", &["integer"], "Number of limits at warning or critical."),
    ("not_judged", &["array"], "Limits that could not be read, one line per reason."),
    ("error", &["string"], "Reason why the check failed."),
    ("limits", &["array"], "The limits, the worst first."),
];

/// JSON types of the values of a column, besides `null`.
const fn types(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Text | Kind::Addr | Kind::Endpoint | Kind::State => &["string"],
        Kind::Count
        | Kind::Amount
        | Kind::Id
        | Kind::Hex
        | Kind::Bytes
        | Kind::Port
        | Kind::BytesPerSec
        | Kind::PerSec
        | Kind::PerMin
        | Kind::Micros
        | Kind::Millis
        | Kind::Secs
        | Kind::Percent => &["number"],
        Kind::Bool => &["boolean"],
        Kind::States => &["object"],
        Kind::Trend => &["array"],
        Kind::List => &["array", "object", "string"],
    }
}

fn column(c: &Column) -> Value {
    let types: Vec<&str> = types(c.kind).iter().copied().chain(["null"]).collect();
    json!({ "type": types, "description": c.help })
}

fn fields(list: &[(&str, &[&str], &str)]) -> Map<String, Value> {
    let field = |(name, types, help): &(&str, &[&str], &str)| {
        ((*name).to_owned(), json!({ "type": types, "description": help }))
    };
    list.iter().map(field).collect()
}

/// An object with no other keys than these.
fn object(help: &str, properties: &Map<String, Value>, required: &[&str]) -> Value {
    json!({
        "type": "object",
        "description": help,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// The schema, with one definition per kind of object: rows of each table, events of `--watch`, the JSON of `check`, alerts.
pub(super) fn page() -> String {
    let mut definitions = Map::new();
    for table in TABLES {
        let columns: Map<String, Value> =
            table.columns.iter().map(|c| (c.name.to_owned(), column(c))).collect();
        definitions.insert(table.noun.to_owned(), object(table.help, &columns, &[]));
        let row = json!({ "oneOf": [{ "$ref": format!("#/$defs/{}", table.noun) }, { "type": "null" }] });
        let names: Vec<&str> = Event::ALL.iter().map(|(_, name)| *name).collect();
        let event = [
            ("event", json!({ "type": "string", "enum": names, "description": "What happened to the row." })),
            ("time", json!({ "type": "number", "description": "Time of the poll, seconds since 1970." })),
            (
                "id",
                json!({ "type": "object", "description": "Identity of the row, the same in all its events." }),
            ),
            ("before", row.clone()),
            ("after", row),
        ];
        let event: Map<String, Value> = event.map(|(name, v)| (name.to_owned(), v)).into_iter().collect();
        let help = format!("One line of {} --watch --format ndjson.", table.name);
        let required = ["event", "time", "id", "before", "after"];
        definitions.insert(format!("{}_event", table.noun), object(&help, &event, &required));
    }
    let all: Vec<&str> = ALERT.iter().map(|(name, ..)| *name).collect();
    definitions.insert(
        "alert".to_owned(),
        object("An alert, on standard input of alerts.command.", &fields(&ALERT), &all),
    );
    let mut check = fields(&CHECK);
    check.insert("limits".to_owned(), json!({ "type": "array", "items": { "$ref": "#/$defs/alert" } }));
    definitions
        .insert("check".to_owned(), object("check --format json.", &check, &["status", "exit", "limits"]));
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": concat!("sockscope ", env!("CARGO_PKG_VERSION")),
        "description": "Keys keep their name, type and unit within a major version; new ones may be added. --format json is an array of \
                        rows, ndjson one row per line; a row has the keys of the columns that were chosen. Missing values are null.",
        "$defs": definitions,
    });
    format!("{schema:#}\n")
}
