//! The dashboard's threads: collecting, keys, signals; the calling thread draws.

use super::environment::Words;
use super::poller::{News, Poller};
use super::reverse_dns::Resolver;
use super::state_files::Saved;
use super::worker::Worker;
use super::{Ending, RunError, action, alert_hooks, environment, export_file, state_files, themes};
use crate::cli::Plan;
use crate::cli::list_plan::ListPlan;
use crate::cli::settings::value::ColorArg;
use crate::collect::{Engines, probe};
use crate::model::{Hosts, Missing, Netns, Wants};
use crate::tui::app::Color;
use crate::tui::arrange::ArrangeJob;
use crate::tui::event::{Effect, Event, Latest, ProbeRequest, ProbeResult, Signal};
use crate::tui::keymap::Keymap;
use crate::tui::terminal::backend::Frugal;
use crate::tui::{App, Options, run_loop, terminal};
use ratatui::Terminal;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use std::io::{self, BufWriter};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};

/// Rows from which on they are arranged on a thread of their own: what is less takes a few milliseconds.
const APART: usize = 10_000;

/// Runs until the user quits, the terminal closes or a signal ends it.
pub(super) fn run(plan: &Plan, list: &ListPlan) -> Result<Ending, RunError> {
    let broken = |what: &str| {
        let what = what.to_owned();
        move |e: io::Error| RunError::Dashboard(format!("{what}: {e}"))
    };
    let words = Words::read();
    let options = options(plan, list, &words)?;
    let ask = words.answers() && options.color != Color::None;
    let mut app = App::new(options);
    let (tell, events) = mpsc::channel();
    watch_signals(tell.clone()).map_err(broken("watch signals"))?;
    let out = tell.clone();
    // Opened before the terminal is taken, so that a refusal is a plain line.
    let source = super::open(plan, Engines::Later)?;
    let (failed, failure) = mpsc::channel();
    let broke = failed.clone();
    let latest = Latest::default();
    let hosts = Arc::new(Hosts::default());
    let mut resolver = None;
    let poller = Poller::start(
        source,
        Wants::default(),
        (plan.interval(), plan.settings.max_cpu.0),
        Arc::clone(&plan.services),
        Arc::clone(&hosts),
        plan.settings.alerts.rules(),
        move |news| {
            let event = match news {
                News::Fresh(snap) => {
                    if !latest.put(snap) {
                        return true;
                    }
                    Event::Fresh(latest.clone())
                }
                News::Paced(real) => Event::EffectiveInterval(real),
                News::Failed(why) => Event::Failed(why),
                News::Broken(why) => {
                    let _ = failed.send(why);
                    Event::InputClosed
                }
            };
            out.send(event).is_ok()
        },
    )
    .map_err(broken("start the collecting thread"))?;
    let arranger = start_arranger(tell.clone(), broke).map_err(broken("start the arranging thread"))?;
    let (history, back) = (environment::history_file(), tell.clone());
    let prober = start_prober(is_here(plan), tell.clone()).map_err(broken("start the probing thread"))?;
    let config = plan.config_file.clone().or_else(environment::config_file);
    let guard = terminal::Guard::enter().map_err(broken("set up the terminal"))?;
    terminal::read_input(tell, ask).map_err(broken("read the terminal"))?;
    let screen = Frugal::new(BufWriter::with_capacity(1 << 15, io::stdout()), !words.dumb());
    let ended = Terminal::new(screen).and_then(|mut screen| {
        run_loop(&mut screen, &events, &mut app, &mut |effect| match effect {
            Effect::Wants(w) => poller.set_wants(w),
            Effect::Arrange(job) => arranger.submit(job),
            Effect::Interval(i) => poller.set_interval(i),
            Effect::Refresh => poller.refresh(),
            Effect::Mouse(taken) => {
                let _ = terminal::mouse(taken);
            }
            Effect::Suspend => {
                let _ = terminal::suspend();
            }
            Effect::Act(act) => {
                let said = action::carry_out(&act);
                poller.refresh();
                let _ = back.send(Event::Status(said));
            }
            Effect::Resolve(addrs) => {
                if resolver.is_none() {
                    let back = back.clone();
                    resolver = Resolver::start(&hosts, move || {
                        let _ = back.send(Event::HostNames);
                    })
                    .ok();
                }
                if let Some(r) = &resolver {
                    for a in addrs {
                        r.ask(a);
                    }
                }
            }
            Effect::NotifyAlert(json, text) => {
                if let Err(why) = alert_hooks::raise(&plan.settings.alerts, &json, &text) {
                    let _ = back.send(Event::Status(why));
                }
            }
            Effect::Probe(closer) => prober.submit(closer),
            Effect::Write(what) => {
                let _ = back.send(Event::Status(export_file::write(plan, &what)));
            }
            Effect::Remember(filter) => {
                // A history that cannot be kept is no reason to disturb anybody.
                let _ = history.as_deref().map(|file| state_files::remember(file, &filter));
            }
            Effect::Save { name, filter } => {
                let said = save(config.as_deref(), &format!("@{name}"), &name, &Saved::Filter(&filter));
                let _ = back.send(Event::Status(said));
            }
            Effect::SaveView { name, view } => {
                let said = save(config.as_deref(), &format!("view {name}"), &name, &Saved::View(&view));
                let _ = back.send(Event::Status(said));
            }
            Effect::Redraw | Effect::Quit => {}
        })
    });
    drop(guard);
    // A state that cannot be kept is no reason to disturb anybody.
    let _ = environment::session_file().map(|file| state_files::keep_session(&file, &app.session()));
    if let Ok(why) = failure.try_recv() {
        return Err(RunError::Dashboard(why));
    }
    match ended {
        // The terminal is gone, and with it anyone to tell.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe || e.raw_os_error() == Some(5) => Ok(Ending::Fine),
        Err(e) => Err(RunError::Dashboard(format!("draw: {e}"))),
        Ok(()) => Ok(Ending::Fine),
    }
}

pub(super) fn options(plan: &Plan, list: &ListPlan, words: &Words) -> Result<Options, RunError> {
    let keys = plan.settings.keys.iter().map(|(command, keys)| (command.clone(), keys.0.clone())).collect();
    let keymap = Keymap::new(&keys)
        .map_err(|e| RunError::Dashboard(format!("keys of the configuration file: {e}")))?;
    let palette = themes::named(&plan.settings.theme.0)?;
    let depth = match plan.settings.color {
        ColorArg::Never => Color::None,
        ColorArg::Auto => words.colors(),
        ColorArg::Always => words.colors_of_terminal(),
    };
    Ok(Options {
        interval: plan.interval(),
        only: match plan.settings.netns {
            Netns::All => None,
            _ if plan.demo.is_some() || plan.proc_root.is_some() => None,
            _ => Some("other network namespaces are not read (--netns)"),
        },
        filter: list.filter_text.clone(),
        status_message: Some(plan.notes.join("; ")).filter(|s| !s.is_empty()),
        view: plan.settings.view.clone().set().map(|view| view.0),
        protos: crate::model::wants::ProtoSet::TCP_UDP,
        color: palette.as_ref().map_or(depth, |p| depth.least(p.most)),
        palette,
        ascii: plan.settings.ascii || !words.draws(),
        numeric: plan.settings.numeric,
        // Of a captured tree or a scene nothing is here to be ended.
        read_only: plan.settings.read_only || plan.proc_root.is_some() || plan.demo.is_some(),
        lang: plan.lang().unwrap_or_else(environment::lang),
        names: plan.settings.resolve,
        views: plan.settings.presets(),
        session: if plan.settings.resume {
            state_files::session(environment::session_file().as_deref())
        } else {
            None
        },
        services: Arc::clone(&plan.names),
        saved: plan.settings.saved_filters(),
        history: state_files::history(environment::history_file().as_deref()),
        columns: plan
            .settings
            .columns
            .iter()
            .map(|(table, columns)| (table.0.name.to_owned(), columns.0.clone()))
            .collect(),
        keymap,
        // How it was left is written down at every end.
        first: environment::session_file().is_some_and(|file| !file.exists()),
        background_above: Some(APART),
    })
}

/// Whether what is shown is of this machine.
pub(super) const fn is_here(plan: &Plan) -> bool {
    plan.demo.is_none() && plan.proc_root.is_none()
}

/// Starts the thread that filters, sorts and groups large tables. If it panics the dashboard ends with the reason.
fn start_arranger(events: Sender<Event>, failure: Sender<String>) -> io::Result<Worker<Box<ArrangeJob>>> {
    Worker::start("arranger", move |job: Box<ArrangeJob>| {
        let arranged = catch_unwind(AssertUnwindSafe(|| Box::new(job.work()))).ok();
        let failed = arranged.is_none();
        let event = arranged.map_or_else(
            || {
                let _ = failure.send("the arranging thread failed".to_owned());
                Event::InputClosed
            },
            Event::Arranged,
        );
        events.send(event).is_ok() && !failed
    })
}

/// Starts the thread that reads what only the details show: with many sockets even one lookup can take the kernel a while.
fn start_prober(here: bool, events: Sender<Event>) -> io::Result<Worker<ProbeRequest>> {
    Worker::start("probe", move |request| events.send(look(here, request)).is_ok())
}

/// Reads what the details show of one process; nothing where the data is not of this machine.
pub(super) fn look(here: bool, closer: ProbeRequest) -> Event {
    if !here {
        let unknown = || Err(Missing::NotReported);
        let seen = ProbeResult {
            cwd: Err("it is not of this machine".to_owned()),
            proc_ctx: unknown(),
            sock_ctx: unknown(),
            tids: vec![],
            bpf_maps: Err(Missing::NotReported),
        };
        return Event::Probed(closer, Box::new(seen));
    }
    let (proc_ctx, sock_ctx) = probe::contexts(&closer.process, closer.socket);
    let cwd = probe::working_directory(&closer.process).map_err(|e| e.to_string());
    let tids = probe::threads(&closer.process);
    let bpf_maps = match closer.inet.as_deref() {
        Some((socket, netns)) => probe::bpf_maps(socket, *netns),
        None => Err(Missing::NotApplicable),
    };
    Event::Probed(closer, Box::new(ProbeResult { cwd, proc_ctx, sock_ctx, tids, bpf_maps }))
}

/// Saves something in the configuration file; a word on how that went.
fn save(file: Option<&Path>, what: &str, name: &str, saved: &Saved<'_>) -> String {
    match file {
        Some(file) => match state_files::save(file, name, saved) {
            Ok(()) => format!("saved as {what} in {}", file.display()),
            Err(e) => format!("not saved in {}: {e}", file.display()),
        },
        None => "not saved: there is no home directory".to_owned(),
    }
}

/// Signals become events; the thread ends with the process.
fn watch_signals(events: Sender<Event>) -> io::Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGCONT])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for number in signals.forever() {
            let signal = match number {
                SIGINT => Signal::Interrupt,
                SIGTERM => Signal::Terminate,
                SIGHUP => Signal::Hangup,
                SIGTSTP => Signal::Stop,
                _ => Signal::Continue,
            };
            if events.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}
