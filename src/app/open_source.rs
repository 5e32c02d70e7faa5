//! Opens the source of samples that the command line names.

use super::exit_status::RunError;
use crate::cli::{Plan, UsageError};
use crate::collect::scenario::{SCENARIOS, Scenario, ScenarioSource};
use crate::collect::{Choice, Engines, Source};
use crate::format::did_you_mean;
use crate::model::Backend;

/// Opens the source of the plan; `engines`: how to query container engines, if they are queried.
pub(super) fn open(plan: &Plan, engines: Engines) -> Result<Box<dyn Source>, RunError> {
    if let Some(scenario) = &plan.demo {
        return Ok(Box::new(ScenarioSource::new(open_scenario(scenario)?)));
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
        plan.settings.netns.clone(),
        plan.owners(),
        engines,
    )?)
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
    let text = std::fs::read_to_string(name).map_err(|e| UsageError(format!("--demo: read {name}: {e}")))?;
    Scenario::parse(&text).map_err(|e| UsageError(format!("--demo: {name}: {e}")))
}
