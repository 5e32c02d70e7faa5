//! Panics become one line on standard error, after the terminal has been restored.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, PoisonError};

/// Message and place of the last panic of any thread.
static LAST: Mutex<Option<String>> = Mutex::new(None);

/// Runs the program. A panic unwinds through it, so that the terminal guard restores the terminal, and is returned as
/// one line (and a backtrace, if `RUST_BACKTRACE` asks for one).
pub(super) fn catch<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    panic::set_hook(Box::new(|info| {
        let message = panic_text(info.payload());
        let place = info.location().map_or_else(String::new, |l| format!(" at {}:{}", l.file(), l.line()));
        let trace = Backtrace::capture();
        let trace = match trace.status() {
            BacktraceStatus::Captured => format!("\n{trace}"),
            _ => String::new(),
        };
        let line =
            format!("internal error: {message}{place}; please report this with the command line{trace}");
        *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
    }));
    panic::catch_unwind(AssertUnwindSafe(run)).map_err(|_| {
        let last = LAST.lock().unwrap_or_else(PoisonError::into_inner).take();
        last.unwrap_or_else(|| "internal error".to_owned())
    })
}

pub(super) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("unknown panic")
}

#[cfg(test)]
mod tests {
    use super::catch;

    #[test]
    fn panic_becomes_one_line_with_its_place() {
        let before = std::panic::take_hook();
        let caught = catch(|| -> u8 { panic!("index {} of {}", 3, 2) });
        let ok = catch(|| 7);
        std::panic::set_hook(before);
        let line = caught.unwrap_err();
        let first = line.lines().next().unwrap();
        assert!(first.starts_with("internal error: index 3 of 2 at src/app/panic_report.rs:"), "{line}");
        assert!(first.ends_with("please report this with the command line"), "{line}");
        assert_eq!(ok, Ok(7));
    }
}
