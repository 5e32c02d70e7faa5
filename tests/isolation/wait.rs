//! Waiting for conditions, never for a time.

use std::time::{Duration, Instant};

/// Longest wait for a condition, sized for a busy machine. Returns as soon as the condition is true.
pub(crate) const PATIENCE: Duration = Duration::new(60, 0);

/// Retries until `Ok`; returns the last error on timeout.
pub(crate) fn until_ok<T>(mut f: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    let end = Instant::now() + PATIENCE;
    let mut pause = Duration::from_millis(10);
    loop {
        match f() {
            Err(_) if Instant::now() < end => std::thread::sleep(pause),
            other => return other,
        }
        // Polling takes CPU time from the awaited process.
        pause = (pause * 3 / 2).min(Duration::from_millis(300));
    }
}

/// Retries until there is a value.
pub(crate) fn until<T>(what: &str, mut f: impl FnMut() -> Option<T>) -> Result<T, String> {
    until_ok(|| f().ok_or_else(|| format!("waited in vain for {what}")))
}
