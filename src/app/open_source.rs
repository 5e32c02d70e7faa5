//! Opens the source of samples that the command line names.

use super::environment;
use super::exit_status::RunError;
use super::print::print_error;
use crate::cli::moment::MomentArg;
use crate::cli::settings::value::EventsArg;
use crate::cli::{Plan, UsageError, user_file};
use crate::collect::remote::Methods;
use crate::collect::scenario::{SCENARIOS, Scenario, ScenarioSource};
use crate::collect::{Choice, Engines, EventMethod, RecordedSource, Source};
use crate::format::did_you_mean;
use crate::model::{Backend, Netns};
use crate::privilege::is_from_file;
use crate::recording::{Moments, Recording};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Opens the recording that the command line names, at its moment; `None` if it names none. Commands that print begin with the
/// last sample, the dashboard with the first.
pub(super) fn open_recording(plan: &Plan, from_start: bool) -> Result<Option<RecordedSource>, RunError> {
    let Some(wanted) = &plan.recording else { return Ok(None) };
    let default = environment::recording_dir();
    let no_default = || UsageError("replay: HOME is not set: name the recording".to_owned());
    let path = wanted.path.as_deref().or(default.as_deref()).ok_or_else(no_default)?;
    if let Some(span) = wanted.between {
        let recording = open_file(path)?;
        let (start, end) = span.resolve(last_moment(&recording))?;
        let numbers = recording.between(start, end)?;
        return Ok(Some(RecordedSource::new(recording, numbers.start, numbers.end)));
    }
    let recorded = open_path(path, wanted.at)?;
    if !from_start && recorded.is_redacted() {
        print_error("redacted: addresses, names and arguments are not the real ones");
    }
    Ok(Some(if from_start && wanted.at.is_none() { recorded.from_start() } else { recorded }))
}

/// Times of the span that the command line names, nanoseconds since 1970; `None`: no span.
pub(super) fn span(plan: &Plan, source: &RecordedSource) -> Result<Option<(u64, u64)>, UsageError> {
    let Some(span) = plan.recording.as_ref().and_then(|r| r.between) else { return Ok(None) };
    span.resolve(last_moment(source.recording())).map(Some)
}

/// Time of the last sample.
fn last_moment(recording: &Recording) -> u64 {
    recording.moment(recording.len().saturating_sub(1)).map_or(0, |m| m.at.unix_ns)
}

fn open_file(path: &Path) -> Result<Recording, RunError> {
    if is_from_file() {
        refuse_foreign(path, "--from")?;
    }
    Ok(Recording::open(path)?)
}

/// Opens a recording at a moment, without one at its last sample.
pub(super) fn open_path(path: &Path, at: Option<MomentArg>) -> Result<RecordedSource, RunError> {
    let recording = open_file(path)?;
    let end = recording.len();
    let from = match at {
        Some(at) => recording.at(at.resolve(last_moment(&recording)))?.number,
        None => end - 1,
    };
    Ok(RecordedSource::new(recording, from, end))
}

/// Opens the source of the plan; `engines`: how to query container engines, if they are queried.
pub(super) fn open(plan: &Plan, engines: Engines) -> Result<Box<dyn Source>, RunError> {
    match open_recording(plan, true)? {
        Some(recorded) => Ok(Box::new(recorded)),
        None => open_live(plan, engines),
    }
}

/// Opens the source of the plan, whatever recording it names.
pub(super) fn open_live(plan: &Plan, engines: Engines) -> Result<Box<dyn Source>, RunError> {
    open_live_in(plan, engines, plan.settings.netns.clone())
}

/// Opens the source of the plan for these network namespaces.
pub(super) fn open_live_in(plan: &Plan, engines: Engines, netns: Netns) -> Result<Box<dyn Source>, RunError> {
    if let Some(scenario) = &plan.demo {
        return Ok(Box::new(ScenarioSource::new(open_scenario(scenario)?)));
    }
    if let Some(root) = plan.proc_root.as_deref().filter(|_| is_from_file()) {
        refuse_foreign(root, "--proc-root")?;
    }
    let choice = match plan.backend() {
        None | Some(Backend::Script) => Choice::Auto,
        Some(Backend::Netlink) => Choice::Netlink,
        Some(Backend::Proc) => Choice::Proc,
        Some(Backend::Portable) => Choice::Portable,
    };
    let engines = if plan.settings.no_engine { Engines::Off } else { engines };
    Ok(crate::collect::open(
        choice,
        plan.proc_root.as_deref(),
        netns,
        plan.owners(),
        event_method(plan),
        engines,
    )?)
}

/// Sources of events as settings name them.
const EVENT_METHODS: [(EventsArg, EventMethod); 4] = [
    (EventsArg::Auto, EventMethod::Auto),
    (EventsArg::Bpf, EventMethod::Bpf),
    (EventsArg::SockDiag, EventMethod::SockDiag),
    (EventsArg::Off, EventMethod::Off),
];

/// The source of events that the settings name.
pub(super) fn event_method(plan: &Plan) -> EventMethod {
    let named = EVENT_METHODS.iter().find(|(arg, _)| *arg == plan.settings.events);
    named.map_or(EventMethod::Auto, |(_, method)| *method)
}

/// The setting that names a source of events.
pub(super) fn event_method_arg(method: EventMethod) -> EventsArg {
    let named = EVENT_METHODS.iter().find(|(_, m)| *m == method);
    named.map_or(EventsArg::Auto, |(arg, _)| *arg)
}

/// Methods by which agents read for this plan.
pub(super) fn methods(plan: &Plan) -> Methods {
    Methods {
        owners: plan.owners(),
        events: Some(event_method(plan)).filter(|m| *m != EventMethod::Auto),
        no_engine: plan.settings.no_engine,
        ..Methods::default()
    }
}

/// Refuses a file of another user where the executable file has capabilities: a captured tree is read with the rights of the
/// real user in any case, and this keeps it so where a read was forgotten. A file that cannot be opened is reported by who
/// reads it.
pub(super) fn refuse_foreign(file: &Path, option: &str) -> Result<(), UsageError> {
    let owner = std::fs::metadata(file).map(|m| m.uid());
    if owner.is_ok_and(|uid| uid != rustix::process::getuid().as_raw()) {
        let why = "belongs to another user; refused, since the executable has file capabilities";
        return Err(UsageError(format!("{option}: {}: {why}", file.display())));
    }
    Ok(())
}

/// Built-in scenario, or one read from a file.
fn open_scenario(name: &str) -> Result<Scenario, UsageError> {
    if let Some(scenario) = Scenario::named(name) {
        return Ok(scenario);
    }
    if !name.contains(['/', '.']) {
        let names: Vec<&str> = SCENARIOS.iter().map(|(n, _)| *n).collect();
        let near = did_you_mean::nearest(name, names.iter().copied());
        let near = near.map_or(String::new(), |n| format!(", did you mean {n:?}?"));
        return Err(UsageError(format!(
            "--demo: unknown scenario {name:?}{near} (scenarios: {}; or a file)",
            names.join(", ")
        )));
    }
    let text =
        user_file::read(Path::new(name)).map_err(|e| UsageError(format!("--demo: read {name}: {e}")))?;
    Scenario::parse(&text).map_err(|e| UsageError(format!("--demo: {name}: {e}")))
}
