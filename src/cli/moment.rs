//! Moments of a recording given to flags.

use super::error::UsageError;
pub use crate::format::moment::MomentArg;

/// The moment given to this flag.
pub(super) fn flag_moment(flag: &str, text: &str) -> Result<MomentArg, UsageError> {
    MomentArg::parse(text).map_err(|e| UsageError(format!("{flag}: {e}")))
}
