//! Color themes by name: built-in ones, and files of the user.

use super::environment;
use crate::cli::{UsageError, user_file};
use crate::format::did_you_mean;
use crate::tui::theme::palette::PALETTES;
use crate::tui::theme::{Palette, contrast_check};
use std::io;
use std::path::PathBuf;

/// Name of the automatic theme, chosen by the terminal background.
const AUTO: &str = "auto";

/// The theme of that name, or from a file if the name has a `/`; `None` for the automatic one.
pub(super) fn named(name: &str) -> Result<Option<Palette>, UsageError> {
    if name == AUTO {
        return Ok(None);
    }
    if let Some(p) = Palette::named(name) {
        return Ok(Some(p.clone()));
    }
    let file = if name.contains('/') { Some(PathBuf::from(name)) } else { environment::theme_file(name) };
    let text = file.as_deref().map(user_file::read);
    let (Some(file), Some(text)) = (&file, text) else { return Err(unknown(name)) };
    let invalid = |e: String| UsageError(format!("read {}: {e}", file.display()));
    match text {
        Ok(text) => Palette::parse(name.rsplit('/').next().unwrap_or(name), &text).map(Some).map_err(invalid),
        Err(e) if e.kind() == io::ErrorKind::NotFound && !name.contains('/') => Err(unknown(name)),
        Err(e) => Err(invalid(e.to_string())),
    }
}

/// Checks that a theme exists and has enough contrast.
pub(super) fn check(name: &str) -> Result<(), String> {
    let Some(palette) = named(name).map_err(|e| e.0)? else { return Ok(()) };
    match contrast_check::true_color_faults(&palette).first() {
        None => Ok(()),
        Some(first) => Err(format!("{name}: {first}")),
    }
}

fn unknown(name: &str) -> UsageError {
    let all: Vec<&str> = std::iter::once(AUTO).chain(PALETTES.iter().map(|p| p.name.as_ref())).collect();
    let near = did_you_mean::nearest(name, all.iter().copied());
    let near = near.map_or(String::new(), |n| format!(", did you mean {n:?}?"));
    UsageError(format!(
        "unknown theme {name:?}{near} (themes: {}; or a file in themes/ beside config.toml, or a path)",
        all.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn theme_is_found_by_name_and_by_file() {
        assert_eq!(named("auto"), Ok(None));
        assert_eq!(named("light").unwrap().unwrap().name, "light");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("mine.toml");
        std::fs::write(&file, "like = \"dark\"\nfaint = \"#222222\"\n").unwrap();
        let path = file.to_str().unwrap();
        assert_eq!(named(path).unwrap().unwrap().name, "mine.toml");
        assert!(check(path).unwrap_err().contains("faint on ground has a contrast of 1."));
        assert!(named("./no/such").unwrap_err().0.starts_with("read ./no/such: "));
        assert!(
            named("ligth").unwrap_err().0.starts_with("unknown theme \"ligth\", did you mean \"light\"?")
        );
    }
}
