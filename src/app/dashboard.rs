//! The dashboard: starts the threads that collect, read keys and catch signals; the calling thread draws.

use super::collector::Collector;
use super::collector_process::CollectorProcess;
use super::confine::{Outside, Stage};
use super::environment::TerminalEnv;
use super::exit_status::{ExitStatus, RunError};
use super::fleet::Connection;
use super::fleet_poller::{Common, FleetPoller};
use super::open_source::open_recording;
use super::past::{Context, Past};
use super::poll_age::{PollAge, watch_age};
use super::poller::{PollEvent, Poller};
use super::process_source::ProcessSource;
use super::recorder::Beside;
use super::reverse_dns::Resolver;
use super::state_files::Saved;
use super::worker::Worker;
use super::{action, alert_hooks, asked, confine, environment, export_file, state_files, themes};
use crate::cli::list_plan::ListPlan;
use crate::cli::settings::value::{ColorArg, EventsArg};
use crate::cli::{Plan, UsageError};
use crate::collect::Engines;
use crate::derive::Engine;
use crate::diagnose::why::Question;
use crate::format::Column;
use crate::model::lang::{noop, set_lang, tr};
use crate::model::{Addr, Hosts, Netns, ProtoSet, Wants};
use crate::msg;
use crate::recording::Ring;
use crate::table::{Grouping, columns_from};
use crate::tui::Color;
use crate::tui::act::Act;
use crate::tui::arrange::ArrangeJob;
use crate::tui::compare::{Comparison, TwoMoments};
use crate::tui::event::{Effect, Event, Latest, ProbeRequest, Signal};
use crate::tui::keymap::Keymap;
use crate::tui::terminal::backend::Frugal;
use crate::tui::{App, Options, StartView, run_loop, terminal};
use crate::view::group::grouping_named;
use ratatui::Terminal;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGWINCH};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Number of rows above which filtering and sorting run on a background thread; fewer take a few milliseconds.
const BACKGROUND_ABOVE: usize = 10_000;

/// Runs until the user quits, the terminal closes or a signal arrives.
pub(super) fn run(
    plan: &Plan,
    list: &ListPlan,
    mut process: Option<CollectorProcess>,
) -> Result<ExitStatus, RunError> {
    let cannot = |action: &str| {
        let action = action.to_owned();
        move |e: io::Error| RunError::Dashboard(format!("{action}: {e}"))
    };
    let env = TerminalEnv::read();
    let options = options(plan, list, &env)?;
    let read_only = options.read_only;
    set_lang(options.lang);
    let query_background = env.supports_queries() && options.color != Color::None;
    let mut app = App::new(options);
    if let Some(process) = process.as_mut().filter(|_| read_only) {
        process.take_no_acts();
    }
    let runs = process.as_ref().map(CollectorProcess::in_words);
    let (events, inbox) = mpsc::channel();
    watch_signals(events.clone()).map_err(cannot("watch signals"))?;
    let poll_events = events.clone();
    let outside = Outside::start().map_err(cannot("start a thread"))?;
    // Of its own, since drawing waits for it.
    let opener = Outside::start().map_err(cannot("start a thread"))?;
    let mut sandbox = confine::dashboard(plan, Stage::BeforeSource);
    let hosts_given = plan.hosts.is_named().then(|| Connection::new(plan)).transpose()?;
    let (failed, failure) = mpsc::channel();
    let arranger_failed = failed.clone();
    let latest = Latest::default();
    let hosts = Arc::new(Hosts::default());
    let resolver = Arc::new(Mutex::new(None));
    let speed = plan.recording.as_ref().map_or(1.0, |r| r.speed);
    let interval = plan.interval().div_f64(speed);
    let age = Arc::new(PollAge::new(interval));
    let feed = Feed { latest, events: poll_events, age: Arc::clone(&age), failed };
    let poller = match hosts_given {
        Some(connection) => {
            let common = Common {
                services: Arc::clone(&plan.services),
                names: Arc::clone(&hosts),
                rules: plan.settings.alerts.rules(),
                events_kept: plan.settings.events_kept.0,
            };
            let connection = connection.without_questions();
            let send = move |snap| feed.send(PollEvent::Fresh(Arc::new(snap)));
            let replies = events.clone();
            let on_reply = move |asked, reply| {
                let _ = replies.send(Event::HostReplied(asked, reply));
            };
            let fleet = FleetPoller::start(&connection, interval, &common, send, on_reply);
            Collector::Fleet(fleet.map_err(cannot("start the threads of the hosts"))?)
        }
        None => Collector::One(start_poller(plan, (process.as_mut(), interval), &hosts, feed)?),
    };
    let (history, replies) = (environment::history_file(), events.clone());
    let prober = start_prober(plan.is_live(), process.as_mut(), events.clone())
        .map_err(cannot("start the probing thread"))?;
    let answerer = start_answerer(plan, process.as_mut(), events.clone())
        .map_err(cannot("start the answering thread"))?;
    let is_separate = process.is_some();
    let acts = process.as_mut().and_then(CollectorProcess::acts);
    let acts = Arc::new(Mutex::new(acts));
    let config = plan.config_file.clone().or_else(environment::config_file);
    sandbox = sandbox.or_else(|| confine::dashboard(plan, Stage::AfterCollector));
    app.set_sandbox(sandbox.into_iter().chain(runs).reduce(|a, b| format!("{a}; {b}")));
    let arranger =
        start_arranger(events.clone(), arranger_failed).map_err(cannot("start the arranging thread"))?;
    let guard = terminal::Guard::enter().map_err(cannot("set up the terminal"))?;
    terminal::read_input(events, query_background).map_err(cannot("read the terminal"))?;
    let screen = Frugal::new(io::stdout(), true);
    let result = Terminal::new(screen).and_then(|mut screen| {
        run_loop(
            &mut screen,
            &inbox,
            &mut app,
            &mut |effect| match effect {
                Effect::Wants(w) => poller.set_wants(w),
                Effect::Shown(shown) => poller.set_shown(shown),
                Effect::Arrange(job) => arranger.submit(job),
                Effect::Interval(i) => {
                    age.set_interval(i);
                    poller.set_interval(i);
                }
                Effect::Refresh => poller.refresh(),
                Effect::Record(on) => poller.record(on),
                Effect::Seek(request) => poller.seek(request),
                Effect::StopSearch => poller.stop_search(),
                Effect::Compare(TwoMoments(marked, shown)) => {
                    let replies = replies.clone();
                    outside.run(move || {
                        let comparison = Arc::new(Comparison::new(&marked, &shown));
                        let _ = replies.send(Event::Compared(comparison));
                    });
                }
                Effect::Resume(ns) => poller.resume(ns),
                Effect::Mouse(taken) => {
                    let _ = terminal::mouse(taken);
                }
                Effect::Suspend => {
                    let _ = terminal::suspend();
                }
                // The clipboard is that of the terminal, which only this thread writes to.
                Effect::Act(act @ Act::Copy(_)) => {
                    let _ = replies.send(Event::Status(action::run(&act, None)));
                }
                Effect::Act(act) => {
                    let (replies, refresh) = (replies.clone(), poller.refresher());
                    let acts = Arc::clone(&acts);
                    outside.run(move || {
                        let mut acts = acts.lock().unwrap_or_else(PoisonError::into_inner);
                        let status = match acts.as_mut() {
                            Some(asker) => action::run(&act, Some(&mut |act| asker.act(act))),
                            None if read_only || is_separate => action::run(&act, None),
                            None => action::run(&act, Some(&mut action::here)),
                        };
                        refresh();
                        let _ = replies.send(Event::Status(status));
                    });
                }
                Effect::Resolve(addrs) => {
                    let (resolver, hosts, replies) =
                        (Arc::clone(&resolver), Arc::clone(&hosts), replies.clone());
                    outside.run(move || resolve(&resolver, &hosts, addrs, replies));
                }
                Effect::NotifyAlert(json, text) => {
                    if let Err(error) = alert_hooks::notify(&plan.settings.alerts, &text) {
                        let _ = replies.send(Event::Status(error));
                    }
                    let (command, replies) = (plan.settings.alerts.command.clone(), replies.clone());
                    outside.run(move || {
                        if let Err(error) = alert_hooks::run_command(&command, &json) {
                            let _ = replies.send(Event::Status(error));
                        }
                    });
                }
                Effect::Probe(request) => prober.submit(request),
                Effect::Answer(question) => answerer.submit(question),
                Effect::AskHost(asked, ask) => poller.ask(asked, &ask),
                Effect::Write(name, what) => {
                    let _ = replies.send(Event::Status(export_file::write(plan, &opener, &name, &what)));
                }
                Effect::Remember(filter) => {
                    // A history that cannot be written is not worth an error.
                    let _ = history.as_deref().map(|file| state_files::remember(file, &filter));
                }
                Effect::Save { name, filter } => {
                    let status = save(config.as_deref(), &format!("@{name}"), &name, &Saved::Filter(&filter));
                    let _ = replies.send(Event::Status(status));
                }
                Effect::SaveView { name, view } => {
                    let status = save(config.as_deref(), &msg!("view {}", name), &name, &Saved::View(&view));
                    let _ = replies.send(Event::Status(status));
                }
                Effect::Redraw | Effect::Quit => {}
            },
            &mut |urgent| terminal::link::link().hold(urgent, Instant::now()),
        )
    });
    drop(guard);
    // A session that cannot be written is not worth an error.
    let _ = environment::session_file().map(|file| state_files::keep_session(&file, &app.session()));
    if let Ok(error) = failure.try_recv() {
        return Err(RunError::Dashboard(error));
    }
    match result {
        // The terminal is gone.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe || matches!(e.raw_os_error(), Some(5 | 6)) => {
            Ok(ExitStatus::Success)
        }
        Err(e) => Err(RunError::Dashboard(format!("draw: {e}"))),
        Ok(()) => Ok(ExitStatus::Success),
    }
}

/// Messages of the collector threads to the dashboard.
struct Feed {
    latest: Latest,
    events: Sender<Event>,
    age: Arc<PollAge>,
    failed: Sender<String>,
}

impl Feed {
    /// Passes a message on; returns whether to go on.
    fn send(&self, event: PollEvent) -> bool {
        let event = match event {
            PollEvent::Fresh(snap) => {
                self.age.note();
                if !self.latest.put(snap) {
                    return true;
                }
                Event::Fresh(self.latest.clone())
            }
            PollEvent::EffectiveInterval(effective) => {
                self.age.set_interval(effective);
                Event::EffectiveInterval(effective)
            }
            PollEvent::Failed(error) => Event::Failed(error),
            PollEvent::Recording(state, what) => Event::Recording(state, what),
            PollEvent::EndOfRecording => Event::EndOfRecording,
            PollEvent::Past(snap, position) => Event::Past(snap, position),
            PollEvent::Searching(ns) => Event::Searching(ns),
            PollEvent::NoMoment => Event::NoMoment,
            PollEvent::Marks(periods) => Event::Marks(periods),
            PollEvent::Panicked(error) => {
                let _ = self.failed.send(error);
                Event::InputClosed
            }
        };
        self.events.send(event).is_ok()
    }
}

/// Starts the thread that reads this machine, a recording or demo data.
fn start_poller(
    plan: &Plan,
    (process, interval): (Option<&mut CollectorProcess>, Duration),
    hosts: &Arc<Hosts>,
    feed: Feed,
) -> Result<Poller, RunError> {
    // Opened before the terminal is set up, so that an error is a plain line.
    let source = match process {
        Some(process) => {
            // One that does not answer is reported as one that ends later.
            Box::new(ProcessSource::new(process.frames(plan)?, process.pid(), plan))
        }
        None => super::open_source::open(plan, Engines::Later)?,
    };
    // A recording is as old as it is.
    if plan.recording.is_none() {
        watch_age(&feed.age, feed.events.clone())
            .map_err(|e| RunError::Dashboard(format!("start a timer: {e}")))?;
    }
    let poller = Poller::start(
        source,
        Wants::default(),
        (interval, plan.settings.max_cpu.0),
        (
            Context {
                services: Arc::clone(&plan.services),
                hosts: Arc::clone(hosts),
                rules: plan.settings.alerts.rules(),
                protos: ProtoSet::ALL,
            },
            past(plan)?,
            beside(plan),
        ),
        Engine::new()
            .with_first_owners_pending()
            .with_alert_rules(plan.settings.alerts.rules())
            .with_events_kept(plan.settings.events_kept.0),
        move |event| feed.send(event),
    );
    poller.map_err(|e| RunError::Dashboard(format!("start the collector thread: {e}")))
}

/// Resolves addresses by threads that are started with the first of them.
fn resolve(resolver: &Mutex<Option<Resolver>>, hosts: &Arc<Hosts>, addrs: Vec<Addr>, replies: Sender<Event>) {
    let mut resolver = resolver.lock().unwrap_or_else(PoisonError::into_inner);
    if resolver.is_none() {
        *resolver = Resolver::start(hosts, move || {
            let _ = replies.send(Event::HostNames);
        })
        .ok();
    }
    for addr in addrs {
        resolver.iter().for_each(|r| r.query(addr));
    }
}

pub(super) fn options(plan: &Plan, list: &ListPlan, env: &TerminalEnv) -> Result<Options, RunError> {
    let keys = plan.settings.keys.iter().map(|(command, keys)| (command.clone(), keys.0.clone())).collect();
    let keymap = Keymap::new(&keys)
        .map_err(|e| RunError::Dashboard(format!("keys of the configuration file: {e}")))?;
    let palette = themes::named(&plan.settings.theme.0)?;
    let depth = match plan.settings.color {
        ColorArg::Never => Color::None,
        ColorArg::Auto => env.colors(),
        ColorArg::Always => env.terminal_colors(),
    };
    Ok(Options {
        interval: plan.interval().div_f64(plan.recording.as_ref().map_or(1.0, |r| r.speed)),
        only: match plan.settings.netns {
            Netns::All => None,
            _ if !plan.is_live() => None,
            _ => Some(noop("other network namespaces are not read (--netns)")),
        },
        filter: list.filter_text.clone(),
        status_message: Some(plan.notes.iter().chain(&plan.mistyped).cloned().collect::<Vec<_>>().join("; "))
            .filter(|s| !s.is_empty()),
        view: plan.settings.view.clone().set().map(|view| view.0),
        protos: ProtoSet::TCP_UDP,
        color: palette.as_ref().map_or(depth, |p| depth.least(p.most)),
        palette,
        ground: env.background(),
        calm: plan.settings.calm,
        recorded: plan.recording.is_some(),
        side_details: plan.settings.side_details,
        events: plan.settings.events != EventsArg::Off,
        dns: plan.settings.dns,
        ascii: plan.settings.ascii || !env.has_unicode(),
        numeric: plan.settings.numeric,
        // Captured trees, recordings and demo data have no processes or sockets to act on.
        read_only: plan.settings.read_only || !plan.is_live(),
        hosts: plan.hosts.is_named(),
        read_only_by: match plan {
            _ if plan.demo.is_some() => noop("demo data"),
            _ if plan.recording.is_some() => noop("recording"),
            _ if !plan.is_live() => noop("captured tree"),
            _ => "--read-only",
        },
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
        columns: table_columns(plan, list)?,
        start: start_view(list),
        keymap,
        // A session is written at every exit.
        first: environment::session_file().is_some_and(|file| !file.exists()),
        background_above: Some(BACKGROUND_ABOVE),
    })
}

/// Configured columns by table; those of sockets with the ones that flags add.
fn table_columns(plan: &Plan, list: &ListPlan) -> Result<Vec<(String, Vec<&'static Column>)>, RunError> {
    let configured = plan.settings.columns.iter();
    let mut out: Vec<(String, Vec<&'static Column>)> =
        configured.map(|(table, columns)| (table.0.name.to_owned(), columns.0.clone())).collect();
    if let Some(text) = &list.typed.columns {
        let base = out.iter().position(|(name, _)| name == list.table.name).map(|i| out.swap_remove(i).1);
        let base = base.unwrap_or_else(|| list.table.default_columns());
        let columns = columns_from(text, list.table, &base);
        let columns = columns.map_err(|e| UsageError(format!("--columns: {e}")))?;
        out.push((list.table.name.to_owned(), columns));
    }
    if !list.added.is_empty() {
        let index = out.iter().position(|(name, _)| name == list.table.name).unwrap_or_else(|| {
            out.push((list.table.name.to_owned(), list.table.default_columns()));
            out.len() - 1
        });
        let more: Vec<_> = list.added.iter().filter(|c| !out[index].1.contains(c)).copied().collect();
        out[index].1.extend(more);
    }
    Ok(out)
}

/// The order and the grouping that flags state.
fn start_view(list: &ListPlan) -> Option<StartView> {
    let typed = &list.typed;
    let grouping = match (&list.group, &typed.group_by) {
        (Some(_), Some(text)) => grouping_named(text, list.table),
        (None, Some(_)) => Some(Grouping::FLAT),
        _ => None,
    };
    let sort = typed.sort.then(|| list.sort.clone());
    (sort.is_some() || grouping.is_some()).then_some(StartView { table: list.table.id, sort, grouping })
}

/// The past that can be shown: of a live source the last minutes.
fn past(plan: &Plan) -> Result<Past, RunError> {
    Ok(match open_recording(plan, true)? {
        Some(recorded) => Past::recording(recorded.into_recording()),
        None => Past::Ring(Ring::new(plan.settings.past_time, plan.settings.past_memory.0)),
    })
}

/// The recording beside the dashboard: written from the start with `--record`, else from the key on.
fn beside(plan: &Plan) -> Beside {
    match &plan.record {
        Some(dir) => Beside::new(dir.as_deref(), true),
        None => Beside::new(None, false),
    }
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
fn start_prober(
    live: bool,
    process: Option<&mut CollectorProcess>,
    events: Sender<Event>,
) -> io::Result<Worker<ProbeRequest>> {
    let mut asker = process.map(CollectorProcess::probes);
    Worker::start("probe", move |request| {
        let asked = asker.as_mut().and_then(|a| a.details(&request));
        let result = asked.unwrap_or_else(|| asked::details(live, &request));
        events.send(Event::Probed(request, Box::new(result))).is_ok()
    })
}

/// Starts the thread that answers questions: it enters namespaces, and reads what no poll reads.
fn start_answerer(
    plan: &Plan,
    process: Option<&mut CollectorProcess>,
    events: Sender<Event>,
) -> io::Result<Worker<Question>> {
    let plan = plan.without_command();
    let mut asker = process.map(CollectorProcess::why);
    Worker::start("why", move |question| {
        let asked = asker.as_mut().and_then(|a| a.answer(&question));
        let result = asked.unwrap_or_else(|| asked::answer(&plan, &question));
        events.send(Event::Answered(question, Box::new(result))).is_ok()
    })
}

/// Saves a filter or a view in the configuration file; returns the result in one line.
fn save(file: Option<&Path>, what: &str, name: &str, saved: &Saved<'_>) -> String {
    match file {
        Some(file) => match state_files::save(file, name, saved) {
            Ok(()) => msg!("saved as {} in {}", what, file.display()),
            Err(e) => msg!("not saved in {}: {}", file.display(), e),
        },
        None => tr("not saved: neither XDG_CONFIG_HOME nor HOME is set").to_owned(),
    }
}

/// Ends the program within a second of a signal, also where the drawing thread is held up by a terminal that is not read: it
/// is freed by dropping the output, and then quits. Does not return.
fn end_soon() {
    const STEP: Duration = Duration::from_millis(50);
    std::thread::sleep(STEP * 6);
    for _ in 0..10 {
        terminal::drop_output();
        std::thread::sleep(STEP);
    }
    terminal::abandon();
    std::process::exit(0);
}

/// Turns signals into events, on a thread that runs as long as the process.
fn watch_signals(events: Sender<Event>) -> io::Result<()> {
    let mut signals =
        signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGCONT, SIGWINCH])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for number in signals.forever() {
            if number == SIGWINCH {
                let resized = crossterm::terminal::size().map(|(w, h)| crossterm::event::Event::Resize(w, h));
                if resized.is_ok_and(|event| events.send(Event::Input(event)).is_err()) {
                    return;
                }
                continue;
            }
            let signal = match number {
                SIGINT => Signal::Interrupt,
                SIGTERM => Signal::Terminate,
                SIGHUP => Signal::Hangup,
                SIGTSTP => Signal::Stop,
                _ => Signal::Continue,
            };
            let ends = matches!(number, SIGINT | SIGTERM | SIGHUP);
            let closed = events.send(Event::Signal(signal)).is_err();
            if ends {
                end_soon();
            }
            if closed {
                return;
            }
        }
    })?;
    Ok(())
}
