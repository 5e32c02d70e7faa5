//! The configuration file: loading it, and `sockscope config`.

use super::environment::SYSTEM_CONFIG;
use super::exit_status::{ExitStatus, RunError};
use super::open_source::refuse_foreign;
use super::print::{print, print_error};
use super::{environment, themes};
use crate::cli::args::ConfigArgs;
use crate::cli::config_file::read_file;
use crate::cli::settings::schema::{Check, Validators};
use crate::cli::settings::template;
use crate::cli::{Plan, Settings, UsageError, user_file};
use crate::model::Services;
use crate::model::text::escape;
use crate::privilege::is_from_file;
use crate::tui::keymap::Keymap;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Checks the keys of one command.
fn check_keys(command: &str, keys: &[String]) -> Result<(), String> {
    Keymap::new(&BTreeMap::from([(command.to_owned(), keys.to_vec())])).map(drop).map_err(|e| e.to_string())
}

/// Checks that a theme exists; its contrast is checked only by `config --check`.
fn check_theme_name(name: &str) -> Result<(), String> {
    themes::named(name).map(drop).map_err(|e| e.0)
}

fn validators<'a>(theme: Check<'a>, services: &'a Services) -> Validators<'a> {
    Validators { keys: &check_keys, theme, services }
}

/// The configuration file of the user, or that of the system if the user has none.
fn default_file(user: Option<PathBuf>, system: &Path) -> Option<PathBuf> {
    let exists = user.as_deref().is_some_and(|file| fs::symlink_metadata(file).is_ok());
    if !exists && fs::symlink_metadata(system).is_ok() { Some(system.to_owned()) } else { user }
}

/// Loads the named configuration file, or the default one if it exists. The note has the reason that an existing default file was
/// ignored.
pub(super) fn load(
    named: Option<&Path>,
    services: &Services,
) -> Result<(Settings, Option<String>), RunError> {
    let default = || default_file(environment::config_file(), Path::new(SYSTEM_CONFIG));
    let Some(file) = named.map(Path::to_owned).or_else(default) else {
        return Ok((Settings::default(), None));
    };
    let Some(text) = read_file(&file, named.is_some())? else {
        // A file that exists but cannot be read is reported and does not prevent the start.
        let error = fs::metadata(&file).ok().and_then(|_| File::open(&file).err());
        let note = error.map(|e| format!("read {}: {e}; ignored, using defaults", file.display()));
        return Ok((Settings::default(), note));
    };
    let settings = Settings::load(&text, &file, validators(&check_theme_name, services))?;
    if is_from_file() && !settings.alerts.command.0.is_empty() {
        refuse_foreign(&file, "alerts.command")?;
    }
    Ok((settings, None))
}

/// `sockscope config`.
pub(super) fn run(plan: &Plan, args: &ConfigArgs) -> Result<ExitStatus, RunError> {
    let Some(file) = plan.config_file.clone().or_else(environment::config_file) else {
        return Err(
            UsageError("no configuration directory: neither XDG_CONFIG_HOME nor HOME is set".into()).into()
        );
    };
    if args.init {
        return init(&file);
    }
    let file = if plan.config_file.is_some() {
        file
    } else {
        default_file(Some(file.clone()), Path::new(SYSTEM_CONFIG)).unwrap_or(file)
    };
    let text = read_file(&file, plan.config_file.is_some() || args.check)?;
    if args.check {
        return check(&file, &text.unwrap_or_default(), &plan.names);
    }
    // A flag may name a theme that does not exist, and two commands have the same key.
    themes::named(&plan.settings.theme.0)?;
    shared_keys(&plan.settings).map_err(|e| UsageError(format!("{}, {e}", file.display())))?;
    let mut out = match &text {
        Some(_) => format!("# {}\n", escape(&file.display().to_string())),
        None => format!("# {}: not found, using defaults\n", escape(&file.display().to_string())),
    };
    for (line, is_set) in template::in_force(&text.unwrap_or_default()) {
        let line = escape(&line);
        out.push_str(&if is_set { format!("{line:50} # set\n") } else { format!("{line}\n") });
    }
    print(&out)
}

fn init(file: &Path) -> Result<ExitStatus, RunError> {
    match user_file::write_new_own(file, &template::template()) {
        Ok(()) => print(&format!("{}\n", escape(&file.display().to_string()))),
        Err(e) => {
            let why = match e.kind() {
                io::ErrorKind::AlreadyExists => "already exists, not overwritten".to_owned(),
                _ => e.to_string(),
            };
            Err(UsageError(format!("write {}: {why}", file.display())).into())
        }
    }
}

/// Checks that no two commands have the same key, which shows only in all of them together.
fn shared_keys(settings: &Settings) -> Result<(), String> {
    let keys = settings.keys.iter().map(|(command, keys)| (command.clone(), keys.0.clone())).collect();
    Keymap::new(&keys).map(drop).map_err(|e| format!("[keys]: {e}"))
}

fn check(file: &Path, text: &str, services: &Services) -> Result<ExitStatus, RunError> {
    let (settings, problems) = Settings::read(text, validators(&themes::check, services));
    let mut problems: Vec<String> =
        problems.into_iter().map(|p| format!("{}, {p}", file.display())).collect();
    if problems.is_empty() {
        problems.extend(shared_keys(&settings).err().map(|e| format!("{}, {e}", file.display())));
    }
    match problems.split_last() {
        None => print(&format!("{}: ok\n", escape(&file.display().to_string()))),
        Some((last, before)) => {
            for p in before {
                print_error(p);
            }
            Err(UsageError(last.clone()).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_of_the_system_is_used_if_the_user_has_none() {
        let dir = tempfile::tempdir().unwrap();
        let (user, system) = (dir.path().join("user"), dir.path().join("system"));
        assert_eq!(default_file(Some(user.clone()), &system), Some(user.clone()));
        fs::write(&system, "").unwrap();
        assert_eq!(default_file(Some(user.clone()), &system), Some(system.clone()));
        assert_eq!(default_file(None, &system), Some(system.clone()));
        fs::write(&user, "").unwrap();
        assert_eq!(default_file(Some(user.clone()), &system), Some(user));
    }
}
