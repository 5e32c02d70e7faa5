//! The configuration file: read, written for the first time, looked through.

use super::state_files::write_new;
use super::{Ending, RunError, complain, environment, print};
use crate::cli::args::ConfigArgs;
use crate::cli::setting::{self, Outside};
use crate::cli::{Config, Plan, UsageError};
use crate::model::Services;
use crate::tui::keymap::Keymap;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// Whether a command may have these keys.
fn keys(command: &str, keys: &[String]) -> Result<(), String> {
    Keymap::new(&BTreeMap::from([(command.to_owned(), keys.to_vec())])).map(drop).map_err(|e| e.to_string())
}

/// Whether there is such a theme. That it cannot be read well is said when the file is checked, and keeps nobody out.
fn theme(name: &str) -> Result<(), String> {
    super::themes::named(Some(name)).map(drop).map_err(|e| e.0)
}

/// Reads the file that was named, or the usual one where it is there. What is wrong with it is said with its line.
pub(super) fn load(named: Option<&Path>, services: &Services) -> Result<Config, RunError> {
    let Some(file) = named.map(Path::to_owned).or_else(environment::config_file) else {
        return Ok(Config::default());
    };
    let Some(text) = Config::text(&file, named.is_some())? else {
        // One that is there and closed to us is said, and keeps nobody out.
        let closed = fs::metadata(&file).and_then(|_| fs::File::open(&file)).err();
        let closed = closed.filter(|_| fs::metadata(&file).is_ok());
        let note = |e: io::Error| format!("read {}: {e}; everything is as without it", file.display());
        return Ok(Config { notes: closed.map(note).into_iter().collect(), ..Config::default() });
    };
    setting::first(&text, &file, &Outside { keys: &keys, theme: &theme, services })?;
    Ok(Config::parse(&text, &file)?)
}

/// `sockscope config`.
pub(super) fn run(plan: &Plan, what: &ConfigArgs) -> Result<Ending, RunError> {
    let Some(file) = plan.config_file.clone().or_else(environment::config_file) else {
        return Err(
            UsageError("there is no home directory to look for a configuration file in".into()).into()
        );
    };
    if what.init {
        return init(&file);
    }
    let text = Config::text(&file, plan.config_file.is_some() || what.check)?;
    if what.check {
        return check(&file, &text.unwrap_or_default(), &plan.names);
    }
    let mut out = match &text {
        Some(_) => format!("# {}\n", file.display()),
        None => format!("# {} is not there: everything is as usual\n", file.display()),
    };
    for (line, set) in setting::in_force(&text.unwrap_or_default()) {
        let line = crate::model::text::escape(&line);
        out.push_str(&if set { format!("{line:50} # set\n") } else { format!("{line}\n") });
    }
    print(&out)
}

fn init(file: &Path) -> Result<Ending, RunError> {
    let write = || -> io::Result<()> {
        if let Some(dir) = file.parent() {
            fs::create_dir_all(dir)?;
        }
        write_new(file, |out| out.write_all(setting::template().as_bytes()))
    };
    match write() {
        Ok(()) => print(&format!("{}\n", file.display())),
        Err(e) => {
            let why = match e.kind() {
                io::ErrorKind::AlreadyExists => "it is there already, and stays as it is".to_owned(),
                _ => e.to_string(),
            };
            Err(UsageError(format!("write {}: {why}", file.display())).into())
        }
    }
}

fn check(file: &Path, text: &str, services: &Services) -> Result<Ending, RunError> {
    let mut problems: Vec<String> =
        setting::check(text, &Outside { keys: &keys, theme: &super::themes::check, services })
            .into_iter()
            .map(|p| format!("{}, {p}", file.display()))
            .collect();
    if problems.is_empty() {
        // One key for two commands is seen in all of them together.
        let all = Config::parse(text, file)?.keys.into_iter().map(|(c, k)| (c, k.all())).collect();
        problems.extend(Keymap::new(&all).err().map(|e| format!("{}, [keys]: {e}", file.display())));
    }
    match problems.split_last() {
        None => print(&format!("{}: nothing is wrong\n", file.display())),
        Some((last, before)) => {
            for p in before {
                complain(p);
            }
            Err(UsageError(last.clone()).into())
        }
    }
}
