//! sockscope: a terminal connection monitor for Linux.
//!
//! # Architecture
//!
//! ```text
//! kernel -> collect::Source -> Sample -> derive::Engine::step -> Arc<Snapshot> -> tui | output | check
//!             netlink            raw        joins, rates,          immutable         App -> draw
//!             proc               with its   groups, limits,        shared            list, json, csv
//!             portable           faults     forwards               by Arc            exit status
//!             script
//! ```
//!
//! One direction: nothing later writes to anything earlier. [`model`] holds the nouns, [`collect`] reads the machine,
//! [`mod@derive`] computes, [`table`], [`filter`] and [`view`] ask, [`output`] prints, [`tui`] is the dashboard, [`cli`] the command
//! line and [`app`] ties them together. `tests/layers.rs` holds every module to what it may use: the dashboard can name
//! neither [`collect`] nor [`mod@derive`], so a live machine, a captured `/proc` and a scene are the same to it.
//!
//! - **What is wanted is said first.** Every column says what it needs ([`format::Needs`]); the columns shown, the filter and the
//!   order make one [`model::Wants`], and a [`collect::Source`] reads that and no more.
//! - **Raw before derived.** A [`model::Sample`] is what the kernel said, with what could not be read ([`model::Faults`]) and its
//!   time. [`derive::Engine::step`] is the only place where two samples meet, and it is pure.
//! - **Identity is the kernel's**: network namespace and cookie, pid and start time ([`table::Identity`]). Selection, marks, rates
//!   and former owners follow it.
//! - **Threads**: one polls, one reads keys, one draws ([`tui::run_loop`] blocks in one `recv`); namespaces are entered by threads
//!   that end with it; names, containers and large sorts have their own. The one that draws waits for none of them.
//! - **A list exists once**, and tests stand over it: [`table::TABLES`] (columns), [`tui::command::COMMANDS`] (keys, help, palette),
//!   [`model::state::STATES`], [`diagnose::finding::FINDINGS`], [`explain::TOPICS`], [`cli::settings::settings`],
//!   [`filter::LANGUAGE`], [`model::limit::LIMIT_KINDS`]. Help, manual, reference, completion and the commented configuration
//!   file are made of them.
//!
//! # How to add something
//!
//! Each is the list of files that one such change touched, generated ones (`assets/reference.md`, snapshots) aside.
//!
//! - **A column**: one entry in a table under `src/table/`, and its meaning in `assets/explain/{en,ko}/`. Sorting, filtering,
//!   `--columns`, JSON, CSV, the chooser, completion, manual and reference follow; its role, tone, gauge and fixed values are
//!   part of the entry.
//! - **A command** of the dashboard: one line in `src/tui/command.rs`, an `Action`, what it does in `src/tui/update.rs`. `V` (save the
//!   view) touched these, `src/tui/event.rs`, and where the view is written. Key bar, help, palette, `[keys]` followed.
//! - **A view**: a variant of [`table::TableId`], its table under `src/table/`, a subcommand in `src/cli/{args,plan}.rs`, its
//!   details in `src/tui/details/`; an identity in `src/table/identity.rs` if its rows are of a new kind. Groupings, wide
//!   columns, owners and remote address of a row are fields of the table.
//! - **A finding**: one entry in `src/diagnose/finding.rs` with its test, and its text in both languages. Column, filter,
//!   details, reference and `explain` follow.
//! - **A backend**: a [`collect::Source`] and its name in `src/collect.rs`. The scenes of `--demo` are one; nothing after it knows.
//! - **A setting**: one field of `src/cli/settings.rs`, with its doc comment (the help), default and flag. The configuration file
//!   and its check, the flag, `config`, `config --init`, manual and reference follow.
//!
//! # Where this goes another way than the first plan, and why
//!
//! - Inside a state, the connections to one remote endpoint are a group too, not only those a listener took in: a pool
//!   of a thousand is one line, whichever end it is seen from.
//! - `--group-by` prints one row a group, with counts and sums, in every format; rows under titles are for the dashboard.
//! - `autobound` is asked of the kernel by a second, filtered dump, since no attribute tells it; then it means what `ss` means.
//! - Of `tcp_info` only the bytes that a shown, filtered or sorted column needs are kept: they are most of the memory.
//! - Connections that only pass through are rows only for who asks (`state:forwarded`): they are nobody's socket, and `ss` has none.
//! - A rule that is reached by several ways is told once, where the kernel first comes to it; conditions that are no endpoint are
//!   named as such and not shown.
//! - The dashboard reads every socket whatever its filter: the strip, the alerts and the findings count all of them, and a filter
//!   that is taken back shows its rows at once. `list`, also with `--watch`, lets the kernel filter.
//! - TCP is asked for in the form of the request before Linux 3.3, the only one that takes both address families: the kernel
//!   goes over its one table once. Where that is refused each family is asked for.
//! - `<` and `>` go to the ends of a list, since `g` and `G` group.

pub mod actions;
pub mod app;
pub mod cli;
pub mod collect;
pub mod derive;
pub mod diagnose;
pub mod explain;
pub mod filter;
pub mod format;
pub mod model;
pub mod output;
pub mod sync;
pub mod table;
#[cfg(test)]
pub(crate) mod testing;
pub mod tui;
pub mod view;
