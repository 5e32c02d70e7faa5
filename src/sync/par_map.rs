//! A parallel map: items taken one by one from a shared counter by scoped threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, available_parallelism, scope};

/// Threads worth starting: the number of cores, at most 8. More cost more to start than they save.
pub fn cores() -> usize {
    available_parallelism().map_or(1, |n| n.get().min(8))
}

/// The results of `f(0)` to `f(n - 1)`, in order, computed on as many threads as there are cores.
pub fn par_map<T: Send>(n: usize, f: impl Fn(usize) -> T + Sync) -> Vec<T> {
    par_map_with("par-map", n, || (), |(), i| f(i))
}

/// The same with a scratch value for each thread. The calling thread takes its share, and all of it where no other thread
/// can be started; a panic in one of them resumes in the caller.
pub fn par_map_with<S, T: Send>(
    name: &str,
    n: usize,
    scratch: impl Fn() -> S + Sync,
    f: impl Fn(&mut S, usize) -> T + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let work = || {
        let (mut scratch, mut done) = (scratch(), Vec::new());
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= n {
                return done;
            }
            done.push((i, f(&mut scratch, i)));
        }
    };
    let mut all: Vec<(usize, T)> = scope(|scope| {
        let spawn = |_| Builder::new().name(name.to_owned()).spawn_scoped(scope, work).ok();
        let threads: Vec<_> = (1..cores().min(n)).filter_map(spawn).collect();
        let mut all = work();
        for thread in threads {
            match thread.join() {
                Ok(done) => all.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    all.sort_unstable_by_key(|(i, _)| *i);
    all.into_iter().map(|(_, value)| value).collect()
}

#[cfg(test)]
mod tests {
    use super::par_map;

    #[test]
    fn results_are_in_order_for_any_count() {
        for n in [0, 1, 2, 7, 100] {
            assert_eq!(par_map(n, |i| i * 3), (0..n).map(|i| i * 3).collect::<Vec<_>>());
        }
    }
}
