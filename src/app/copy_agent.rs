//! The program that `--copy-agent` copies to hosts.

use super::exit_status::RunError;
use crate::cli::{Plan, UsageError};
use crate::collect::remote::AgentBinary;
use std::path::Path;

/// Link to the program that runs.
const OWN: &str = "/proc/self/exe";

/// Reads the program to copy: the file that is named, or this one, if it can run on another host. `None` without the flag.
pub(super) fn program(plan: &Plan) -> Result<Option<AgentBinary>, RunError> {
    let Some(named) = &plan.hosts.copy_agent else { return Ok(None) };
    let refused = |why: String| UsageError(format!("--copy-agent: {why}"));
    let path = named.as_deref().unwrap_or_else(|| Path::new(OWN));
    let subject = named.as_ref().map_or_else(|| "this program".to_owned(), |f| f.display().to_string());
    let bytes = std::fs::read(path).map_err(|e| refused(format!("read {subject}: {e}")))?;
    let binary = AgentBinary::parse(bytes).map_err(|e| refused(format!("{subject}: {e}")))?;
    // A file that is named is tried on the host.
    if named.is_none()
        && let Some(interpreter) = binary.interpreter()
    {
        let why = "dynamically linked, so that it need not start on another host: name a static one, --copy-agent=FILE";
        return Err(refused(format!("this program is {why} (needs {interpreter})")).into());
    }
    Ok(Some(binary))
}
