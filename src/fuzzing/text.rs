//! Texts that a user writes.

use crate::cli::settings::Settings;
use crate::cli::settings::schema::Validators;
use crate::filter::Filter;
use crate::model::Services;
use crate::table::TABLES;
use crate::tui::theme::{Palette, contrast_check};

/// Any text is a filter or an error that points into it; a filter prints as a text that means the same.
pub(super) fn filter(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for table in TABLES {
        match Filter::parse(text, table) {
            Ok(f) => {
                let printed = f.to_string();
                let again = Filter::parse(&printed, table);
                assert!(again.as_ref() == Ok(&f), "{text:?} -> {printed:?}: {again:?}");
                let _ = f.pushdown();
            }
            Err(e) => {
                assert!(text.get(e.span.clone()).is_some(), "{text:?}: {e:?}");
                assert!(!e.message.chars().any(char::is_control), "{e:?}");
            }
        }
    }
}

/// Any text is a configuration, or has problems of one line each.
pub(super) fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let lines = text.lines().count().max(1);
    let known = Validators { keys: &|_, _| Ok(()), theme: &|_| Ok(()), services: Services::well_known() };
    let (_, problems) = Settings::read(text, known);
    for p in problems {
        assert!((1..=lines + 1).contains(&p.line) && !p.what.contains('\n'), "{p:?}");
    }
}

/// Any text is a theme, or an error of one line.
pub(super) fn theme(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Palette::parse("mine", text) {
        Ok(palette) => _ = contrast_check::true_color_faults(&palette),
        Err(e) => assert!(!e.contains('\n'), "{e:?}"),
    }
}
