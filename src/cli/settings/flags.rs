//! Flags made from settings: every command takes those that are global.

use super::list::{Settings, settings};
use super::schema::{Context, Reader, Setting, Validators};
use crate::cli::error::UsageError;
use crate::filter::Saved;
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches};
use toml_edit::{Item, Value};

/// The settings that were given as flags, with their values.
#[derive(Clone, Debug, Default)]
pub struct SettingFlags(Vec<(&'static Setting, String)>);

impl SettingFlags {
    /// Each setting with the value given; a switch has none.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Setting, &str)> {
        self.0.iter().map(|(setting, value)| (*setting, value.as_str()))
    }

    /// True if a flag for this setting was given.
    pub fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(setting, _)| setting.key == key)
    }
}

/// Heading of the flags that every command takes.
pub const GLOBAL: &str = "Global options";

fn global_settings() -> impl Iterator<Item = &'static Setting> {
    settings().iter().filter(|s| s.global)
}

fn arg(setting: &'static Setting) -> Arg {
    let help = setting.help.trim_end_matches('.');
    let default = setting.default.as_deref().map(|d| d.trim_matches('"')).filter(|_| !setting.switch);
    let help = default.map_or_else(|| help.to_owned(), |d| format!("{help} [default: {d}]"));
    let arg = Arg::new(setting.key.as_str())
        .long(setting.flag)
        .short(setting.short)
        .help(help)
        .help_heading(GLOBAL)
        .global(true);
    if setting.switch {
        // `-nP` and `-nn` of other tools, and a switch that an alias has already.
        return arg.action(ArgAction::SetTrue).overrides_with(setting.key.as_str());
    }
    let arg = arg.value_name(setting.value_name.unwrap_or("VALUE")).allow_negative_numbers(true);
    if setting.choices.is_empty() {
        arg
    } else {
        arg.value_parser(PossibleValuesParser::new(setting.choices.clone()))
    }
}

impl clap::Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        command.args(global_settings().map(arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = global_settings().filter_map(|s| {
            if s.switch {
                return matches.get_flag(&s.key).then(|| (s, String::new()));
            }
            matches.get_one::<String>(&s.key).map(|value| (s, value.clone()))
        });
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Settings {
    /// Overrides settings with the flags that were given.
    pub fn apply(&mut self, flags: &SettingFlags, validators: Validators<'_>) -> Result<(), UsageError> {
        for (setting, value) in flags.iter() {
            let value = if setting.switch { Value::from(true) } else { Value::from(value) };
            let views = self.views.iter().map(|(name, _)| name.clone()).collect();
            let context =
                Context { validators, saved: Saved::new(), views, name: String::new(), table: None };
            let path = vec![format!("--{}", setting.flag.unwrap_or_default())];
            let mut reader = Reader { text: "", context, path, line: 1, problems: Vec::new() };
            self.read_entry(&setting.key, &Item::Value(value), &mut reader);
            if let Some(p) = reader.problems.pop() {
                return Err(UsageError(p.what));
            }
        }
        Ok(())
    }
}
