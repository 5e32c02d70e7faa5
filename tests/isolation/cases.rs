//! A test program that is its own harness: each case runs in its own namespaces, in this program started again there
//! for that case only. Command line and output are those of libtest.

use crate::namespaces::{self, INSIDE, Scope};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::env;
use std::io::{Read, Seek};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

/// Time after which a case counts as hung.
const LONGEST: Duration = Duration::new(600, 0);

pub(crate) struct Case {
    /// Program, module and function: `live::limits::exhausted_ports_...`.
    pub(crate) name: &'static str,
    /// Programs that it runs.
    pub(crate) tools: &'static [&'static str],
    pub(crate) scope: Scope,
    pub(crate) run: fn() -> Result<(), String>,
}

/// Runs the cases that the command line selects; in the process of one case, that case, which may be a `nested` one.
#[allow(dead_code)]
pub(crate) fn main(cases: &'static [Case], nested: &'static [Case]) -> ExitCode {
    run_all(cases, nested, false)
}

/// Runs the cases that the command line selects, with `--ignored` only: they take long.
#[allow(dead_code)]
pub(crate) fn on_demand(cases: &'static [Case]) -> ExitCode {
    run_all(cases, &[], true)
}

fn run_all(cases: &'static [Case], nested: &'static [Case], on_demand: bool) -> ExitCode {
    if let Ok(name) = env::var(INSIDE) {
        let case = cases.iter().find(|c| c.name == name);
        let run = case.map(|_| namespaces::loopback_up()).transpose();
        let run = run.map_err(|e| format!("the loopback interface: {e}"));
        let case = case.or_else(|| nested.iter().find(|c| c.name == name)).ok_or("no such case".to_owned());
        return match run.and(case).and_then(|c| (c.run)()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                eprintln!("{why}");
                ExitCode::FAILURE
            }
        };
    }
    let trial = |c: &'static Case| {
        Trial::ignorable_test(c.name, move || run(c, on_demand)).with_ignored_flag(on_demand)
    };
    let trials = cases.iter().map(trial).collect();
    let mut arguments = Arguments::from_args();
    if !on_demand {
        // They wait for half of their time: for timers of the kernel, for programs to start.
        arguments.test_threads.get_or_insert_with(|| available_parallelism().map_or(1, |n| n.get() * 3 / 2));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Runs a case in its namespaces; `shows_output`: of a case that passed too, for its figures.
fn run(case: &Case, shows_output: bool) -> Result<Completion, Failed> {
    if namespaces::light() {
        let rights = if case.scope == Scope::User { "user namespaces" } else { "root" };
        let needs = [&[rights], case.tools].concat().join(", ");
        return Ok(Completion::ignored_with(format!("--light: needs {needs}")));
    }
    let missing: Vec<&str> = case.tools.iter().copied().filter(|tool| !is_there(tool)).collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        return Err(format!("missing: {missing}; ./tests/run installs what the tests need").into());
    }
    if let Some(why) = namespaces::refused(case.scope) {
        return Err(why.into());
    }
    let mut log = tempfile::tempfile()?;
    let mut child = namespaces::enter(case.scope)
        .arg(env::current_exe()?)
        .env(INSIDE, case.name)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log.try_clone()?)
        .spawn()?;
    let end = Instant::now() + LONGEST;
    let passed = loop {
        match child.try_wait()? {
            Some(status) => break status.success(),
            None if Instant::now() < end => std::thread::sleep(Duration::from_millis(20)),
            None => {
                child.kill()?;
                child.wait()?;
                break false;
            }
        }
    };
    let mut output = String::new();
    log.rewind()?;
    log.read_to_string(&mut output)?;
    if passed {
        if shows_output {
            eprint!("{output}");
        }
        return Ok(Completion::Completed);
    }
    if Instant::now() >= end {
        output.push_str("\nit hangs: not over after ten minutes");
    }
    Err(output.into())
}

/// Searches `PATH` and `/usr/sbin` for a program.
fn is_there(tool: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).chain([Path::new("/usr/sbin").into()]).any(|dir| dir.join(tool).is_file())
}

/// Runs a nested case: in this program, started by this command from inside the namespaces of another case.
pub(crate) fn nested(command: &[&str], name: &str) -> Result<(), String> {
    let exe = env::current_exe().map_err(|e| e.to_string())?;
    let mut nested = Command::new(command[0]);
    nested.args(&command[1..]).arg("--").arg(exe).env(INSIDE, name);
    let out = nested.output().map_err(|e| format!("{command:?}: {e}"))?;
    let output =
        || format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    if out.status.success() { Ok(()) } else { Err(output()) }
}
