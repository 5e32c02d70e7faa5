//! CPU time, memory and number of threads of processes, from `/proc/PID/stat` (proc(5)).

use super::info;
use super::table::ProcessTable;
use crate::collect::source::stamp;
use crate::model::{Missing, ProcUsage, Reads, Sample};
use rustix::fd::AsFd;
use rustix::io::Errno;

/// Fills in the usage of the sample's processes, if it is wanted.
pub(crate) fn fill(table: &ProcessTable, sample: &mut Sample) {
    if !sample.wants.reads(Reads::USAGE) {
        return;
    }
    let units = Units {
        hz: rustix::param::clock_ticks_per_second(),
        page: rustix::param::page_size() as u64,
        live: table.is_live(),
    };
    let mut buf = Vec::new();
    let mut read = |pid: u32| read(table.dir(pid).ok_or(Missing::Gone)?, &units, &mut buf);
    sample.usage = sample.processes.iter().map(|p| read(p.info.pid)).collect();
}

/// Units of the numbers in `/proc/PID/stat`.
struct Units {
    /// Clock ticks per second.
    hz: u64,
    /// Bytes of a page.
    page: u64,
    /// Both are those of the machine that wrote the file.
    live: bool,
}

fn read(dir: impl AsFd, units: &Units, buf: &mut Vec<u8>) -> Result<ProcUsage, Missing> {
    info::slurp(&dir, "stat", buf, 4096).map_err(reason)?;
    let at_ns = stamp().boot_ns;
    let stat = stat(buf).ok_or(Missing::NotReported)?;
    let rss = if units.live {
        stat.rss_pages.map(|n| n.saturating_mul(units.page))
    } else {
        // The pages of the machine on which it was captured may have another size.
        info::slurp(&dir, "status", buf, 1 << 16).ok().and_then(|()| vm_rss(buf))
    };
    Ok(ProcUsage { cpu_ns: info::ticks_to_ns(stat.cpu_ticks, units.hz), at_ns, rss, threads: stat.threads })
}

const fn reason(e: Errno) -> Missing {
    match e {
        Errno::ACCESS | Errno::PERM => Missing::NotPermitted,
        _ => Missing::Gone,
    }
}

/// Fields of `/proc/PID/stat` that change while a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct UsageStat {
    /// Fields 14 and 15, user and system time of all threads.
    cpu_ticks: u64,
    /// Field 20.
    threads: u32,
    /// Field 24; `None` if the main thread has exited and others run: it has no memory any more, they have.
    rss_pages: Option<u64>,
}

fn stat(b: &[u8]) -> Option<UsageStat> {
    // The command name may contain anything but ends at the last parenthesis.
    let close = b.iter().rposition(|c| *c == b')')?;
    let rest = std::str::from_utf8(b.get(close + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let mut number = |skip: usize| fields.nth(skip)?.parse::<u64>().ok();
    let (user, system) = (number(10)?, number(0)?);
    let (threads, rss) = (number(4)?, number(3)?);
    Some(UsageStat {
        cpu_ticks: user.saturating_add(system),
        threads: threads.try_into().ok()?,
        rss_pages: (threads < 2 || !matches!(state, "Z" | "X")).then_some(rss),
    })
}

/// `VmRSS` of `/proc/PID/status`, bytes.
fn vm_rss(status: &[u8]) -> Option<u64> {
    let line = status.split(|c| *c == b'\n').find_map(|l| l.strip_prefix(b"VmRSS:"))?;
    let kb: u64 = std::str::from_utf8(line).ok()?.split_ascii_whitespace().next()?.parse().ok()?;
    kb.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::super::Procs;
    use super::*;
    use crate::model::{Backend, BackendInfo, Wants};
    use std::path::Path;
    use std::sync::Arc;

    #[test]
    fn stat_is_parsed_whatever_the_command_name_and_cut() {
        let line = |state: &str, threads: u32| {
            format!(
                "7 (a) R 9 (b)) {state} 1 7 7 0 -1 4194304 1 0 2 0 250 50 9 9 20 0 {threads} 0 4242 1000 77 1 1"
            )
        };
        let s = stat(line("S", 3).as_bytes()).unwrap();
        assert_eq!(s, UsageStat { cpu_ticks: 300, threads: 3, rss_pages: Some(77) });
        assert_eq!(stat(line("Z", 3).as_bytes()).unwrap().rss_pages, None, "main thread exited");
        assert_eq!(stat(line("Z", 1).as_bytes()).unwrap().rss_pages, Some(77), "zombie");
        for cut in 0..line("S", 3).len() {
            let _ = stat(&line("S", 3).as_bytes()[..cut]);
        }
        assert_eq!(vm_rss(b"Name:\tx\nVmRSS:\t    1234 kB\n"), Some(1234 * 1024));
        assert_eq!((vm_rss(b"VmRSS:\n"), vm_rss(b"VmRSS: 18446744073709551615 kB\n")), (None, None));
    }

    #[test]
    fn usage_of_this_process_is_read_only_if_wanted() {
        let info = Arc::new(BackendInfo { backend: Backend::Netlink, reason: String::new() });
        let wants = Wants::default().with(Reads::USAGE);
        let mut s = Sample::empty(stamp(), "h".into(), info, wants);
        let mut procs = Procs::new(Path::new("/proc"));
        procs.read(&mut s);
        let me = s.processes.iter().position(|p| p.info.pid == std::process::id()).unwrap();
        assert_eq!(s.usage.len(), s.processes.len());
        let mine = s.usage[me].unwrap();
        assert!(mine.threads >= 2 && mine.rss.unwrap() > 1 << 20, "{mine:?}");
        assert!(mine.at_ns >= s.at.boot_ns && mine.cpu_ns < mine.at_ns * 1024, "{mine:?}");
        let mut s = Sample { wants: Wants::default(), ..s };
        (s.usage, s.processes) = (Vec::new(), Vec::new());
        procs.read(&mut s);
        assert!(s.usage.is_empty(), "not wanted, not read");
    }
}
