//! Waiting for what is to become true, never for a time.

use std::time::{Duration, Instant};

/// Longest wait for a condition, sized for a busy machine. A condition that holds is not waited for.
pub(crate) const PATIENCE: Duration = Duration::new(60, 0);

/// Tries again until it is well; how it failed last where it never is.
pub(crate) fn until_ok<T>(mut f: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    let end = Instant::now() + PATIENCE;
    let mut pause = Duration::from_millis(10);
    loop {
        match f() {
            Err(_) if Instant::now() < end => std::thread::sleep(pause),
            other => return other,
        }
        // Asking takes time from what is waited for.
        pause = (pause * 3 / 2).min(Duration::from_millis(300));
    }
}

/// Asks again until there is an answer.
pub(crate) fn until<T>(what: &str, mut f: impl FnMut() -> Option<T>) -> Result<T, String> {
    until_ok(|| f().ok_or_else(|| format!("waited in vain for {what}")))
}
