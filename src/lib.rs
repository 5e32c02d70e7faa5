//! Implementation of the `sockscope` program, a terminal connection monitor for Linux. Not a stable API: any release may change it.
//!
//! # Architecture
//!
//! ```text
//! kernel -> collect::Source -> Sample -> derive::Engine::step -> Arc<Snapshot> -> tui | output | check
//!             sock_diag          raw        joins, rates,          immutable         App -> draw
//!             proc_net           with its   groups, limits,        shared            list, JSON, CSV
//!             portable           faults     forwards               by Arc            exit status
//!             scenario               |  ^
//!                                    v  |
//!                                   frame -> recording -> collect::RecordedSource
//! ```
//!
//! Data flows in one direction. [`model`] has the types, [`collect`] reads the machine, [`mod@derive`] computes, [`table`],
//! [`mod@frame`] and [`recording`] write samples down, [`filter`] and [`view`] query, [`output`] prints, [`tui`] is the dashboard, [`cli`] the command line and [`app`] connects them.
//! `tests/layers.rs` checks the dependencies of every module: the dashboard can use neither [`collect`] nor [`mod@derive`], so a
//! live machine, a captured `/proc` and demo data are the same to it.
//!
//! - **Demand-driven collection.** Each column declares its [`format::Needs`]; the displayed columns, the filter and the sort
//!   order make one [`model::Wants`], and a [`collect::Source`] reads no more than that.
//! - **Raw before derived.** A [`model::Sample`] is what the kernel reported, with the read errors ([`model::Faults`]) and the
//!   time. [`derive::Engine::step`] is the only place that compares two samples, and it is pure.
//! - **The past is samples.** [`mod@frame`] writes a sample as the difference from its predecessor, by columns with names, and reads it
//!   back equal. [`recording`] keeps frames: in memory for the dashboard that goes back ([`recording::Ring`]), in files of an hour
//!   with retention and a lock ([`recording::Writer`]), by time ([`recording::Recording`]), and without what identifies hosts and people
//!   ([`recording::Redactor`]). A recording is a source like any other ([`collect::RecordedSource`]), so today's engine derives
//!   yesterday's samples, and `list`, `check`, `diff` and the dashboard see no difference. One recording of each schema is kept in
//!   `tests/recordings/`.
//! - **Identity is that of the kernel**: network namespace and cookie, pid and start time ([`table::Identity`]). Selection,
//!   marks, rates and last owners follow it.
//! - **Threads**: one polls, one reads keys, one draws ([`tui::run_loop`] blocks in one `recv`); short-lived threads enter
//!   network namespaces; reverse DNS, container names and large sorts have their own. The drawing thread waits for none of them.
//! - **Privilege is in another process** than the screen: a dashboard with capabilities starts a collector process, gives its own up
//!   ([`privilege::give_up`]), and asks by the messages that agents of other hosts answer ([`collect::remote`]). It takes a closed list
//!   of acts, each with the identity of its target ([`collect::remote::ActOn`]), which is compared when it is carried out.
//! - **The clock and the environment** are read by [`collect`], [`app`] and [`cli`] only. The one exception is `tui::terminal`, which
//!   measures how long the terminal takes for a frame, where it writes and reads it; nothing that is drawn depends on that.
//! - **A list exists once**, with tests over it: [`table::TABLES`] (columns), [`tui::command::COMMANDS`] (keys, help, palette),
//!   [`model::state::STATES`], [`diagnose::finding::FINDINGS`], [`explain::TOPICS`], [`cli::settings::settings`],
//!   [`filter::LANGUAGE`], [`model::limit::LIMIT_KINDS`]. Help, manual, reference, completion and the commented configuration
//!   file are generated from them.
//!
//! # Places to edit
//!
//! Besides the generated files (`assets/reference.md`, snapshots) and the Korean text of the screen (`assets/lang/ko.toml`):
//!
//! | addition | places |
//! |---|---|
//! | column | 3: its entry in `src/table/`, its text in `assets/explain/en/` and in `assets/explain/ko/` |
//! | key for an existing action | 1: its line in `src/tui/command.rs` |
//! | key with a new action | 3: that line, the variant in `src/tui/event.rs`, its arm in `src/tui/update.rs` |
//! | setting, with its flag | 1: its field in `src/cli/settings.rs`; then its use |
//! | finding | 3: its entry in `src/diagnose/finding.rs`, its text in `assets/explain/en/findings.md` and `ko/findings.md` |
//! | view | 9: [`table::TableId`], its arm and [`table::TABLES`] in `src/table.rs`, its file in `src/table/`, its key in `src/tui/command.rs`, an arm in `src/tui/app.rs` and `src/tui/details.rs`, its page in `src/tui/details/`, its subcommand in `src/cli/args.rs` and `src/cli/plan.rs`; then the texts of its columns |
//! | backend | 2: a [`collect::Source`], and its name in `src/collect.rs` |

#[cfg_attr(docsrs, doc(hidden))]
pub mod actions;
#[cfg_attr(docsrs, doc(hidden))]
pub mod app;
#[cfg_attr(docsrs, doc(hidden))]
pub mod cli;
#[cfg_attr(docsrs, doc(hidden))]
pub mod collect;
#[cfg_attr(docsrs, doc(hidden))]
pub mod derive;
#[cfg_attr(docsrs, doc(hidden))]
pub mod diagnose;
#[cfg_attr(docsrs, doc(hidden))]
pub mod explain;
#[cfg_attr(docsrs, doc(hidden))]
pub mod filter;
#[cfg_attr(docsrs, doc(hidden))]
pub mod format;
#[cfg_attr(docsrs, doc(hidden))]
pub mod frame;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
#[cfg_attr(docsrs, doc(hidden))]
pub mod model;
#[cfg_attr(docsrs, doc(hidden))]
pub mod output;
#[cfg_attr(docsrs, doc(hidden))]
pub mod privilege;
#[cfg_attr(docsrs, doc(hidden))]
pub mod recording;
#[cfg_attr(docsrs, doc(hidden))]
pub mod sandbox;
#[cfg(feature = "sql")]
#[cfg_attr(docsrs, doc(hidden))]
pub mod sql;
#[cfg_attr(docsrs, doc(hidden))]
pub mod sync;
#[cfg_attr(docsrs, doc(hidden))]
pub mod table;
#[cfg(test)]
pub(crate) mod testing;
#[cfg_attr(docsrs, doc(hidden))]
pub mod tui;
#[cfg_attr(docsrs, doc(hidden))]
pub mod view;
