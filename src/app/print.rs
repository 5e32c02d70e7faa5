//! Output on standard output and standard error.

use super::exit_status::{ExitStatus, RunError};
use std::io::{self, Write};

/// Prints one line on standard error; a failure there is ignored.
pub(super) fn print_error(what: &str) {
    let what = crate::model::text::strip_os_error(what);
    let line = crate::model::text::escape(&what);
    let _ = writeln!(io::stderr(), "sockscope: {line}");
}

pub(super) fn print(text: &str) -> Result<ExitStatus, RunError> {
    print_bytes(text.as_bytes())
}

pub(super) fn print_bytes(bytes: &[u8]) -> Result<ExitStatus, RunError> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(RunError::stdout)?;
    Ok(ExitStatus::Success)
}
