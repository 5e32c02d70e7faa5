//! `--diagnose`: one page for a bug report. It contains no addresses, ports, command lines, user, host or process names.

use super::environment::{self, TerminalEnv};
use super::exit_status::{ExitStatus, RunError};
use super::open_source::open;
use super::print::print;
use super::{listing, themes};
use crate::cli::{Args, Plan};
use crate::collect::{Choice, Engines, EventMethod};
use crate::model::text::escape;
use crate::model::{Backend, FaultSubject, Missing, Needs, ProtoSet, Sample, Wants};
use clap::CommandFactory;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::Instant;

/// Width of the names.
const NAMES: usize = 16;

/// The page as it is written.
struct Page {
    text: String,
    home: Option<String>,
}

impl Page {
    /// Appends one line: a name and what is known.
    fn line(&mut self, name: &str, value: &str) {
        let value = self.without_home(value);
        let value = if value.is_empty() { "-" } else { &value };
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{name:NAMES$}{}", escape(value));
    }

    /// The text with `~` for the home directory, whose name is mostly that of the user.
    fn without_home(&self, text: &str) -> String {
        match &self.home {
            Some(home) => text.replace(home.as_str(), "~"),
            None => text.to_owned(),
        }
    }

    fn title(&mut self, title: &str) {
        let _ = writeln!(self.text, "\n{title}");
    }
}

/// The first line of a file of the kernel; empty if it cannot be read.
fn first_line(file: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}

/// The value of a `KEY=value` or `Key: value` line.
fn entry(text: &str, key: &str) -> Option<String> {
    let rest = text.lines().find_map(|l| l.strip_prefix(key)?.trim_start().strip_prefix(['=', ':']))?;
    Some(rest.trim().trim_matches('"').to_owned())
}

/// Words of an error without what is private: addresses, and paths outside of the system's own trees.
fn scrub(text: &str) -> String {
    let word = |word: &str| {
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric() && !"/:[]".contains(c));
        let address = bare.trim_matches(':');
        let is_address = address.parse::<std::net::IpAddr>().is_ok()
            || address.parse::<std::net::SocketAddr>().is_ok()
            || address.split_once('/').is_some_and(|(a, _)| a.parse::<std::net::IpAddr>().is_ok());
        let is_system = ["/proc", "/sys", "/run", "/dev", "/etc"].iter().any(|root| bare.starts_with(root));
        match () {
            () if is_address => "<address>".to_owned(),
            () if bare.starts_with('/') && !is_system => "<path>".to_owned(),
            () => word.to_owned(),
        }
    };
    text.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

/// Hints that this is a container: files and variables that engines set.
fn container_hint() -> String {
    let mut hints: Vec<String> = ["/.dockerenv", "/run/.containerenv"]
        .into_iter()
        .filter(|f| Path::new(f).exists())
        .map(ToOwned::to_owned)
        .collect();
    let systemd = first_line("/run/systemd/container");
    if !systemd.is_empty() {
        hints.push(format!("/run/systemd/container: {systemd}"));
    }
    if let Some(value) = std::env::var_os("container") {
        hints.push(format!("container={}", value.to_string_lossy()));
    }
    if hints.is_empty() { "none".to_owned() } else { hints.join(", ") }
}

fn cgroups() -> &'static str {
    match (
        Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
        Path::new("/sys/fs/cgroup/unified/cgroup.controllers").exists(),
    ) {
        (true, _) => "v2",
        (false, true) => "v1 and v2 (hybrid)",
        (false, false) if Path::new("/sys/fs/cgroup").exists() => "v1",
        _ => "none",
    }
}

/// Options of the mount of `/proc`, such as `hidepid=2`.
fn proc_mount() -> String {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let line = mounts.lines().find(|l| l.split(' ').nth(4) == Some("/proc"));
    line.and_then(|l| l.rsplit(' ').next()).unwrap_or_default().to_owned()
}

fn capabilities() -> String {
    let Ok(sets) = rustix::thread::capabilities(None) else { return "unknown".to_owned() };
    let last: u32 = first_line("/proc/sys/kernel/cap_last_cap").parse().unwrap_or(u32::MAX);
    let names = |set: crate::privilege::Capabilities| match set {
        s if s.is_empty() => "none".to_owned(),
        s if s.bits().count_ones() > last => "all".to_owned(),
        s => s.iter_names().map(|(n, _)| n.to_ascii_lowercase()).collect::<Vec<_>>().join(","),
    };
    let file = if crate::privilege::is_from_file() { ", from the executable file" } else { "" };
    format!("permitted {}; effective {}{file}", names(sets.permitted), names(sets.effective))
}

fn system(page: &mut Page) {
    page.title("system");
    let uname = rustix::system::uname();
    let (release, machine) = (uname.release().to_string_lossy(), uname.machine().to_string_lossy());
    page.line("kernel", &format!("{release} {machine}"));
    let os = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    page.line("distribution", &entry(&os, "PRETTY_NAME").unwrap_or_default());
    page.line("container", &container_hint());
    page.line("cgroups", cgroups());
    let btf = std::fs::metadata("/sys/kernel/btf/vmlinux");
    page.line("BTF", &btf.map_or_else(|e| format!("none ({e})"), |m| format!("{} bytes", m.len())));
    page.line("/proc", &proc_mount());
    page.line("LSM", &first_line("/sys/kernel/security/lsm"));
    for (name, file) in [
        ("ptrace_scope", "/proc/sys/kernel/yama/ptrace_scope"),
        ("bpf", "/proc/sys/kernel/unprivileged_bpf_disabled"),
        ("perf", "/proc/sys/kernel/perf_event_paranoid"),
    ] {
        page.line(name, &first_line(file));
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let seccomp = match entry(&status, "Seccomp").as_deref() {
        Some("0") => "off".to_owned(),
        Some("2") => "filter".to_owned(),
        other => other.unwrap_or_default().to_owned(),
    };
    page.line("seccomp", &seccomp);
    page.line("sandbox", &crate::sandbox::available());
}

fn user(page: &mut Page) {
    let (real, effective) = (rustix::process::getuid().as_raw(), rustix::process::geteuid().as_raw());
    page.line("uid", &format!("{real}, effective {effective}"));
    page.line("capabilities", &capabilities());
    let separate = crate::privilege::has_any();
    page.line(
        "collector",
        if separate { "process of its own in the dashboard" } else { "thread, no privilege" },
    );
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let initial = map.split_whitespace().eq(["0", "0", "4294967295"]);
    page.line("user ns", if initial { "initial" } else { "not the initial one" });
}

/// Needs of all views of the dashboard, for every protocol.
fn wants() -> Wants {
    Wants::new(
        Needs::OWNERS.or(Needs::RATES).or(Needs::LIMITS).or(Needs::NAT).or(Needs::EVENTS),
        ProtoSet::ALL,
    )
}

/// One backend, tried.
fn try_backend(plan: &Plan, choice: Choice) -> Result<String, String> {
    let begin = Instant::now();
    let (netns, events) = (plan.settings.netns.clone(), EventMethod::Off);
    let source = crate::collect::open(choice, None, netns, plan.owners(), events, Engines::Off);
    let wants = Wants::new(Needs::NONE, ProtoSet::TCP_UDP);
    let sample = source.and_then(|mut s| s.sample(&wants)).map_err(|e| e.to_string())?;
    Ok(format!("ok: {} TCP and UDP sockets in {} ms", sample.sockets.len(), begin.elapsed().as_millis()))
}

fn sources(page: &mut Page, plan: &Plan) {
    page.title("data");
    for (backend, choice) in [
        (Backend::Netlink, Choice::Netlink),
        (Backend::Proc, Choice::Proc),
        (Backend::Portable, Choice::Portable),
    ] {
        let result = try_backend(plan, choice).unwrap_or_else(|e| format!("failed: {}", scrub(&e)));
        page.line(backend.name(), &result);
    }
    let sample = open(plan, Engines::Now).and_then(|mut s| Ok(s.sample(&wants())?));
    match sample {
        Ok(sample) => chosen(page, &sample),
        Err(e) => page.line("chosen", &format!("none: {}", scrub(&e.to_string()))),
    }
}

/// The sample of the backend that was chosen: why, owners, namespaces, read errors.
fn chosen(page: &mut Page, sample: &Sample) {
    let info = &sample.backend;
    let why =
        if info.reason.is_empty() { "default: the first that works".to_owned() } else { scrub(&info.reason) };
    page.line("chosen", &format!("{} ({why})", info.backend.name()));
    let sockets = sample.sockets.len();
    let owned = sample.sockets.iter().filter(|s| s.inode != 0);
    let owned =
        owned.filter(|s| sample.owners.binary_search_by_key(&{ s.inode }, |o| o.inode).is_ok()).count();
    let events = &sample.events;
    let source = events.source.map_or("none", |by| by.interface());
    let why = if events.reason.is_empty() { String::new() } else { format!(" ({})", scrub(&events.reason)) };
    page.line("events", &format!("{source}{why}"));
    let by = sample.owners_by.map_or("nothing", crate::model::OwnersBy::interface);
    page.line(
        "owners",
        &format!("by {by}: {owned} of {sockets} sockets, {} processes", sample.processes.len()),
    );
    let hidden =
        sample.processes.iter().filter(|p| p.fds.as_ref().err() == Some(&Missing::NotPermitted)).count();
    page.line("fd limits", &format!("{hidden} processes not permitted"));
    page.line("namespaces", &format!("{} read", sample.namespaces.len()));
    page.line(
        "nat",
        &match &sample.netfilter {
            Some(n) => {
                let (nft, legacy) = (n.nft.len(), n.iptables.len());
                format!(
                    "{nft} nft rulesets, {legacy} iptables-legacy tables, {} tracked connections",
                    sample.flows.len()
                )
            }
            None => "not read".to_owned(),
        },
    );
    let mut faults: BTreeMap<String, u32> = BTreeMap::new();
    for f in sample.faults.iter() {
        let subject = match &f.subject {
            FaultSubject::Dump { proto, family, .. } => {
                FaultSubject::Dump { proto: *proto, family: *family, netns: None }.to_string()
            }
            FaultSubject::Captured(_) => "captured tree".to_owned(),
            other => other.to_string(),
        };
        let detail = if f.detail.is_empty() { String::new() } else { format!(": {}", scrub(&f.detail)) };
        *faults.entry(format!("{subject}: {}{detail}", f.kind.name())).or_default() += f.count;
    }
    for (fault, n) in faults {
        let times = if n == 1 { String::new() } else { format!(" ({n} times)") };
        page.line("not read", &format!("{fault}{times}"));
    }
}

fn terminal(page: &mut Page, plan: &Plan) {
    page.title("terminal");
    for name in ["TERM", "COLORTERM", "COLORFGBG", "NO_COLOR", "CLICOLOR_FORCE", "COLUMNS", "TMUX", "STY"] {
        let value = std::env::var_os(name).map(|v| v.to_string_lossy().into_owned());
        // The values of these two contain paths and process names.
        let value = value.map(|v| if ["TMUX", "STY"].contains(&name) { "set".to_owned() } else { v });
        page.line(name, value.as_deref().unwrap_or("not set"));
    }
    let env = TerminalEnv::read();
    let tty = |is: bool| if is { "terminal" } else { "no terminal" };
    let (input, output) = (io::stdin().is_terminal(), io::stdout().is_terminal());
    page.line("input", tty(input));
    page.line("output", tty(output));
    let size = listing::terminal_size().map_or_else(String::new, |(w, h)| format!("{w}x{h}"));
    page.line("size", if output { &size } else { "" });
    page.line(
        "colors",
        &format!("{:?} (--color {:?})", env.colors(), plan.settings.color).to_ascii_lowercase(),
    );
    let background = env.background();
    let background = background.map(|c| if c == 0 { "dark" } else { "light" });
    page.line("background", background.unwrap_or("asked of the terminal at start"));
    let theme = &plan.settings.theme.0;
    let built_in = themes::named(theme).is_ok();
    page.line("theme", if built_in && !theme.contains('/') { theme } else { "a file" });
    page.line("unicode", if env.has_unicode() { "yes" } else { "no" });
    for name in ["LC_ALL", "LC_CTYPE", "LANG"] {
        let value = std::env::var_os(name).map(|v| v.to_string_lossy().into_owned());
        page.line(name, value.as_deref().unwrap_or("not set"));
    }
}

fn configuration(page: &mut Page, plan: &Plan) {
    page.title("configuration");
    let named = plan.config_file.clone();
    let all = match named {
        Some(file) => vec![file],
        None => environment::config_file().into_iter().chain([environment::SYSTEM_CONFIG.into()]).collect(),
    };
    let mut used = false;
    for file in all {
        let state = match std::fs::File::open(&file) {
            Ok(_) if used => "not used".to_owned(),
            Ok(_) => {
                used = true;
                "used".to_owned()
            }
            Err(e) => e.to_string(),
        };
        page.line("file", &format!("{}: {state}", file.display()));
    }
    for note in &plan.notes {
        page.line("note", &scrub(note));
    }
}

/// Prints the page.
pub(super) fn run(plan: &Plan) -> Result<ExitStatus, RunError> {
    let home = std::env::var("HOME").ok().filter(|h| h.len() > 1);
    let mut page = Page { text: Args::command().render_version(), home };
    let _ =
        writeln!(page.text, "Contains no addresses, command lines, or names of hosts, users and processes.");
    system(&mut page);
    user(&mut page);
    sources(&mut page, plan);
    terminal(&mut page, plan);
    configuration(&mut page, plan);
    print(&page.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_words_of_an_error_are_replaced() {
        for (text, want) in [
            ("connect 10.0.0.9:443: refused", "connect <address> refused"),
            ("read /home/ann/x: denied", "read <path> denied"),
            ("open /proc/net/tcp: No such file", "open /proc/net/tcp: No such file"),
            ("from [::1]:80, fe80::1", "from <address> <address>"),
            ("sock_diag: Operation not permitted", "sock_diag: Operation not permitted"),
        ] {
            assert_eq!(scrub(text), want);
        }
    }

    #[test]
    fn home_directory_is_not_named() {
        let mut page = Page { text: String::new(), home: Some("/home/ann".to_owned()) };
        page.line("file", "/home/ann/.config/x: used");
        assert_eq!(page.text, "file            ~/.config/x: used\n");
    }
}
