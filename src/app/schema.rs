//! `sockscope schema`: JSON Schema of everything printed as JSON, made from the registries.

use crate::cli::list_plan::default_columns;
use crate::format::{Column, Kind, Storage};
use crate::model::{Proto, ProtoSet};
use crate::output::{Event, Format};
use crate::table::{EVENTS, TABLES, Table};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A field: name, JSON types, meaning.
type Field = (&'static str, &'static [&'static str], &'static str);

/// Guarantees for scripts, printed in the schema, the reference and the manual page.
pub(super) const PROMISE: [&str; 6] = [
    "Keys keep their name, type and unit within a major version; new ones may be added.",
    "`--format json` is one array of objects, `ndjson` one object per line. A missing value is `null`.",
    "An object begins with `time` (seconds since 1970) and `hostname`, and holds the keys that its protocol can have \
     (`NAME_default` in the schema). `--columns all` adds all others; any other `--columns` gives exactly those keys.",
    "`comm` is the command name of the process that the object is (rows of processes, elements of `owners`); `process` and \
     `pid` are those of a process that any other object refers to.",
    "An event of `--watch` has `event`, `time`, `hostname`, `id`, `before` and `after`; `id` is the same in all events of a row.",
    "The limits of `check` and the alerts for `alerts.command` are the same object; keys that rows of `limits` have as well \
     mean the same.",
];

/// Fields of every object.
const HEAD: [Field; 2] = [
    ("time", &["number"], "Time of the poll, seconds since 1970."),
    ("hostname", &["string"], "Name of the host."),
];

/// Fields of an alert, also of each limit in the JSON of `check`: name, JSON types, meaning.
const ALERT: [Field; 22] = [
    HEAD[1],
    HEAD[0],
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
    ("fds_suspects", &["array"], "Processes or files that leak descriptors."),
];

/// Fields of the JSON of `check`; `error` and `limits` if it failed.
const CHECK: [Field; 9] = [
    HEAD[0],
    HEAD[1],
    ("status", &["string"], "OK, WARNING, CRITICAL or UNKNOWN."),
    ("exit", &["integer"], "Exit status."),
    ("exceeded", &["integer"], "Number of limits at warning or critical."),
    ("not_judged", &["array"], "Limits that could not be read, one line per reason."),
    ("resolvers", &["array"], "Findings about DNS resolvers, one line each; only with --dns."),
    ("error", &["string"], "Reason why the check failed."),
    ("limits", &["array"], "The limits, the worst first."),
];

/// Fields of the JSON of `why`.
const WHY: [Field; 3] =
    [HEAD[0], HEAD[1], ("answers", &["array"], "One answer; of processes by name one each.")];

/// Fields of an answer of `why`.
const ANSWER: [Field; 6] = [
    ("subject", &["string"], "The question: protocol and endpoint, or process."),
    ("verdict", &["string"], "reachable, cause or unknown."),
    ("certainty", &["string"], "certain, likely or unknown."),
    ("cause", &["string", "null"], "Name of the first cause; sockscope explain has a text for it."),
    ("answer", &["string"], "The answer in one line."),
    ("steps", &["array"], "The steps, in the order of the kernel."),
];

/// Fields of a step of an answer.
const STEP: [Field; 7] = [
    ("step", &["string"], "Part of the kernel: source, route, firewall, listener and so on."),
    ("netns", &["string", "null"], "Network namespace, if it is not that of the question."),
    ("status", &["string"], "ok, fails, likely or not-visible."),
    ("evidence", &["string"], "What was read."),
    ("cause", &["string", "null"], "Name of the cause, of a step that fails."),
    ("effect", &["string", "null"], "What the client sees."),
    ("remedy", &["string", "null"], "What to do."),
];

/// JSON types of the values of a column, besides `null`.
const fn types(kind: Kind) -> &'static [&'static str] {
    match (kind.storage(), kind) {
        (Storage::Text, _) => &["string"],
        (Storage::Integer | Storage::Unsigned | Storage::Float, _) => &["number"],
        (Storage::Boolean, _) => &["boolean"],
        (Storage::Json, Kind::States) => &["object"],
        (Storage::Json, Kind::Trend) => &["array"],
        (Storage::Json, _) => &["array", "object", "string"],
    }
}

fn column(c: &Column) -> Value {
    let types: Vec<&str> = types(c.kind).iter().copied().chain(["null"]).collect();
    json!({ "type": types, "description": c.help })
}

fn fields(list: &[Field]) -> Map<String, Value> {
    let field =
        |(name, types, help): &Field| ((*name).to_owned(), json!({ "type": types, "description": help }));
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

/// A row without `--columns`: all its keys are present, and none that its protocol cannot have.
fn default_row(table: &'static Table) -> Value {
    let columns = default_columns(table, Format::Json);
    let mut by_protos: BTreeMap<u16, (ProtoSet, Vec<&str>)> = BTreeMap::new();
    let mut always = HEAD.map(|(name, ..)| name).to_vec();
    for c in &columns {
        match c.protos {
            Some(only) => by_protos.entry(only.protos.bits()).or_insert((only.protos, vec![])).1.push(c.name),
            None => always.push(c.name),
        }
    }
    let groups = by_protos.values().map(|(protos, names)| {
        let absent: Map<String, Value> = names.iter().map(|n| ((*n).to_owned(), false.into())).collect();
        let protos: Vec<&str> = protos.members().map(Proto::name).collect();
        json!({
            "if": { "properties": { "proto": { "enum": protos } } },
            "then": { "required": names },
            "else": { "properties": absent },
        })
    });
    let row = json!({ "$ref": format!("#/$defs/{}", table.noun), "required": always });
    json!({
        "description": format!("A row of {} without --columns.", table.name),
        "allOf": std::iter::once(row).chain(groups).collect::<Vec<_>>(),
    })
}

/// The schema, with one definition per kind of object: rows of each table, events of `--watch`, the JSON of `check`, alerts.
pub(super) fn page() -> String {
    let mut definitions = Map::new();
    for table in TABLES {
        let mut columns = fields(&HEAD);
        columns.extend(table.columns.iter().map(|c| (c.name.to_owned(), column(c))));
        definitions.insert(table.noun.to_owned(), object(table.help, &columns, &[]));
        definitions.insert(format!("{}_default", table.noun), default_row(table));
        // They are printed as they happen, without --watch.
        if table.is_stream() {
            continue;
        }
        let row = json!({ "oneOf": [{ "$ref": format!("#/$defs/{}", table.noun) }, { "type": "null" }] });
        // Only sockets have events between two polls.
        let between = table.is_sockets();
        let names: Vec<&str> = Event::ALL
            .iter()
            .filter(|(event, _)| between || *event != Event::ShortLived)
            .map(|(_, name)| *name)
            .collect();
        let event = [
            ("event", json!({ "type": "string", "enum": names, "description": "What happened to the row." })),
            (
                "id",
                json!({ "type": "object", "description": "Identity of the row, the same in all its events." }),
            ),
            ("before", row.clone()),
            ("after", row),
        ];
        let event: Map<String, Value> =
            fields(&HEAD).into_iter().chain(event.map(|(name, v)| (name.to_owned(), v))).collect();
        let mut event = event;
        if between {
            let help = "Of event short_lived: how the socket ended. It was opened and closed since the previous poll; before is the socket as it was used; after is null, or what is left of it in TIME_WAIT.";
            let end =
                json!({ "allOf": [{ "$ref": format!("#/$defs/{}", EVENTS.noun) }], "description": help });
            event.insert("end".to_owned(), end);
        }
        let help = format!("One line of {} --watch --format ndjson.", table.name);
        let required = ["event", "time", "hostname", "id", "before", "after"];
        definitions.insert(format!("{}_event", table.noun), object(&help, &event, &required));
    }
    let all: Vec<&str> = ALERT.iter().map(|(name, ..)| *name).collect();
    definitions.insert(
        "alert".to_owned(),
        object("An alert, on standard input of alerts.command.", &fields(&ALERT), &all),
    );
    let mut check = fields(&CHECK);
    check.insert("limits".to_owned(), json!({ "type": "array", "items": { "$ref": "#/$defs/alert" } }));
    definitions.insert(
        "check".to_owned(),
        object("check --format json.", &check, &["time", "hostname", "status", "exit", "limits"]),
    );
    let whole = |name: &str, help: &str, list: &[Field], items: Option<(&str, &str)>| {
        let mut properties = fields(list);
        if let Some((key, of)) = items {
            let items = json!({ "type": "array", "items": { "$ref": format!("#/$defs/{of}") } });
            properties.insert(key.to_owned(), items);
        }
        let names: Vec<&str> = list.iter().map(|(name, ..)| *name).collect();
        (name.to_owned(), object(help, &properties, &names))
    };
    definitions.extend([
        whole("why", "why --format json.", &WHY, Some(("answers", "why_answer"))),
        whole("why_answer", "An answer of why.", &ANSWER, Some(("steps", "why_step"))),
        whole("why_step", "A step of an answer of why.", &STEP, None),
    ]);
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": concat!("sockscope ", env!("CARGO_PKG_VERSION")),
        "description": PROMISE.map(|line| line.replace('`', "")).join(" "),
        "$defs": definitions,
    });
    format!("{schema:#}\n")
}
