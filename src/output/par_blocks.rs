//! Work on many rows, spread over the cores.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Rows that are one piece of work: what a core does in a few milliseconds.
pub(super) const BLOCK: usize = 8192;

/// Cores that there are to spread over; more than a few are not worth their start.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get().min(8))
}

/// Makes `n` pieces, in order, on as many cores as there are. One piece is made here.
pub(super) fn spread<T: Send>(n: usize, make: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = cores().min(n);
    if threads < 2 {
        return (0..n).map(make).collect();
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut made = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= n {
                return made;
            }
            made.push((i, make(i)));
        }
    };
    let mut all: Vec<(usize, T)> = std::thread::scope(|scope| {
        let others: Vec<_> =
            (1..threads).filter_map(|_| std::thread::Builder::new().spawn_scoped(scope, work).ok()).collect();
        // This thread takes its part, and all of it where no other could be started.
        let mut all = work();
        for other in others {
            match other.join() {
                Ok(made) => all.extend(made),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    all.sort_unstable_by_key(|(i, _)| *i);
    all.into_iter().map(|(_, made)| made).collect()
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn pieces_come_in_order() {
        for n in [0, 1, 2, 7, 100] {
            assert_eq!(spread(n, |i| i * 3), (0..n).map(|i| i * 3).collect::<Vec<_>>());
        }
    }
}
