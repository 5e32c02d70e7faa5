//! The plan of a listing: filter, columns, order and format, every name resolved.

use super::args::{FormatArg, List};
use super::error::UsageError;
use super::settings::Settings;
use super::settings::value::{TableKey, flag_duration};
use crate::filter::{Filter, Names};
use crate::format::{Column, Role};
use crate::model::{AttrSet, Reads, Services, Snapshot};
use crate::output::Format;
use crate::table::{self, HOSTNAME_COLUMN, Table, TableId, with_namespaces};
use crate::view::group::GroupBy;
use crate::view::preset::NO_GROUPS;
use crate::view::sort::{self, SortKey};
use std::time::Duration;

/// Values of `--sort` that order groups by their number of rows, the largest first.
const BY_COUNT: [&str; 3] = ["count", "-count", "count:desc"];

/// Flags of a listing that were typed: the dashboard starts with them.
#[derive(Clone, Debug, Default)]
pub struct Typed {
    /// `--columns`.
    pub columns: Option<String>,
    /// `--sort`.
    pub sort: bool,
    /// `--group-by`.
    pub group_by: Option<String>,
}

impl Typed {
    /// Those of these flags.
    pub(super) fn of(l: &List) -> Self {
        Self { columns: l.columns.clone(), sort: l.sort.is_some(), group_by: l.group_by.clone() }
    }
}

/// A listing, checked.
#[derive(Clone, Debug)]
pub struct ListPlan {
    /// The table.
    pub table: &'static Table,
    /// Flags that were typed.
    pub typed: Typed,
    /// The filter as typed.
    pub filter_text: String,
    /// The filter.
    pub filter: Filter,
    /// The filter with `-a`, if the flags select fewer states without it.
    pub any_state: Option<Filter>,
    /// Columns in order.
    pub columns: Vec<&'static Column>,
    /// Resolve remote addresses. Without it no DNS query is sent.
    pub resolve: bool,
    /// Columns added by flags of `ss`.
    pub added: Vec<&'static Column>,
    /// Columns named besides the default ones, as in `+rtt`.
    pub named: Vec<&'static Column>,
    /// Columns removed from the default ones, as in `-netns`.
    removed: Vec<&'static Column>,
    /// The columns were chosen by a flag or in the configuration file.
    pub chosen: bool,
    /// Columns are added where they are needed or have space: they are the default ones, changed or not.
    extended: bool,
    /// Sort order.
    pub sort: Vec<SortKey>,
    /// Grouping.
    pub group: Option<GroupBy>,
    /// Groups are ordered by their number of rows: `--top` without `--sort`.
    pub largest_first: bool,
    /// Maximum number of rows.
    pub top: Option<usize>,
    /// Output format.
    pub format: Format,
    /// Print a header line.
    pub header: bool,
    /// Print only the number of rows.
    pub count: bool,
    /// Interval of `--watch`.
    pub watch: Option<Duration>,
    /// Time after which `--watch` ends.
    pub watch_timeout: Option<Duration>,
    /// Condition of `--wait-for`.
    pub wait: Option<Wait>,
}

/// A condition to wait for.
#[derive(Clone, Debug)]
pub struct Wait {
    /// Filter that a row must match.
    pub filter: Filter,
    /// Maximum time to wait.
    pub timeout: Option<Duration>,
}

/// Error of a graph of another table.
pub(super) const GRAPH_OF_THE_MAP: &str = "--format dot and mermaid draw the map: sockscope map --format dot";

/// Inputs of a listing beside its own flags.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a> {
    pub(super) services: &'a Services,
    pub(super) settings: &'a Settings,
    /// Rows are of several hosts.
    pub(super) hosts: bool,
}

impl ListPlan {
    /// Returns whether every column of the table was chosen.
    pub fn all_columns(&self) -> bool {
        self.columns.len() >= self.table.columns.len()
    }

    pub(super) fn new(table: &'static Table, l: &List, inputs: Inputs<'_>) -> Result<Self, UsageError> {
        let format = match l.output.format() {
            FormatArg::Table => Format::Table,
            FormatArg::Json => Format::Json,
            FormatArg::Ndjson => Format::Ndjson,
            FormatArg::Csv => Format::Csv,
            FormatArg::Dot => Format::Dot,
            FormatArg::Mermaid => Format::Mermaid,
        };
        if format.is_graph() && table.id != TableId::Map {
            return Err(UsageError(GRAPH_OF_THE_MAP.to_owned()));
        }
        if format.is_graph() && (l.group_by.is_some() || l.count || l.watch.is_some()) {
            return Err(UsageError(
                "--format dot and mermaid cannot be combined with --group-by, --count or --watch".to_owned(),
            ));
        }
        let typed = l.filter.join(" ");
        let parse = |text: &str| parse_filter("filter", text, table, inputs);
        let filter = parse(&typed)?;
        let filter_text = l.ss.with_filter(&typed, &filter, &parse)?;
        let with_all = l.ss.with_all().with_filter(&typed, &filter, &parse)?;
        let any_state = (with_all != filter_text).then(|| parse(&with_all)).transpose()?;
        let filter = if filter_text == typed { filter } else { parse(&filter_text)? };
        // Groups have a count, the table itself does not.
        let by_count = l.group_by.is_some()
            && table.column("count").is_none()
            && l.sort.as_deref().is_some_and(|text| BY_COUNT.contains(&text.trim()));
        let sort = match l.sort.as_ref().filter(|_| !by_count) {
            Some(text) => sort::parse(text, table).map_err(|e| UsageError(format!("--sort: {e}")))?,
            None => sort::default(table),
        };
        let group = match l.group_by.as_deref().filter(|text| *text != NO_GROUPS) {
            Some(text) => {
                Some(GroupBy::parse(text, table).map_err(|e| UsageError(format!("--group-by: {e}")))?)
            }
            None => None,
        };
        let configured = inputs.settings.columns.get(&TableKey(table)).map(|c| &c.0);
        let chosen = l.columns.is_some() || configured.is_some();
        let printed = matches!(format, Format::Table | Format::Csv);
        let usual = match configured {
            Some(columns) if printed => columns.clone(),
            _ => default_columns(table, format),
        };
        let mut changed = None;
        let mut columns = match &l.columns {
            Some(text) => {
                // Of JSON the default keys are too many to be the base of a choice.
                let base = if printed { usual } else { table.default_columns() };
                let columns = table::columns_from(text, table, &base)
                    .map_err(|e| UsageError(format!("--columns: {e}")))?;
                changed = table::changes_columns(text).then_some(base);
                columns
            }
            None => usual,
        };
        let named = columns.iter().copied().filter(|c| changed.as_ref().is_some_and(|b| !b.contains(c)));
        let named: Vec<_> = named.collect();
        // What is removed is not added for another reason.
        let removed = match &l.columns {
            Some(text) if changed.is_some() => removed_columns(text, table, &columns),
            _ => Vec::new(),
        };
        let extended = printed && (!chosen || (changed.is_some() && configured.is_none()));
        let hostname = table.column(HOSTNAME_COLUMN).filter(|c| inputs.hosts && !columns.contains(c));
        if let Some(hostname) = hostname.filter(|c| extended && !removed.contains(c)) {
            columns.insert(0, hostname);
        }
        let added = l.ss.columns(table);
        for column in &added {
            if !columns.contains(column) {
                columns.push(column);
            }
        }
        let resolve = l.resolve || inputs.settings.resolve;
        let columns = if resolve { with_host_names(table, columns) } else { columns };
        // "all" and JSON have the column too, but only naming it starts DNS queries.
        let is_host =
            |w: &str| table.column(w.trim_start_matches('+')).is_some_and(|c| c.is(Role::RemoteHost));
        let resolve = resolve || l.columns.iter().any(|text| text.split(',').any(|w| is_host(w.trim())));
        let watch = l.watch.as_deref().map(|text| flag_duration("--watch", text)).transpose()?;
        if watch.is_some() {
            let conflict = match format {
                Format::Json => Some("--watch cannot be combined with --format json: use table or ndjson"),
                Format::Csv => Some("--watch cannot be combined with --format csv: use table or ndjson"),
                Format::Ndjson if group.is_some() => {
                    Some("--watch --format ndjson cannot be combined with --group-by")
                }
                Format::Ndjson if l.count => Some("--watch --format ndjson cannot be combined with --count"),
                Format::Ndjson if l.top.is_some() => {
                    Some("--watch --format ndjson cannot be combined with --top")
                }
                Format::Ndjson | Format::Table | Format::Dot | Format::Mermaid => None,
            };
            if let Some(conflict) = conflict {
                return Err(UsageError(conflict.to_owned()));
            }
        }
        let timeout = l.timeout.as_deref().map(|t| flag_duration("--timeout", t)).transpose()?;
        if timeout.is_some() && watch.is_none() && l.wait_for.is_none() {
            return Err(UsageError("--timeout requires --watch or --wait-for".into()));
        }
        let wait = match &l.wait_for {
            None => None,
            Some(_) if group.is_some() => {
                return Err(UsageError("--wait-for cannot be combined with --group-by".into()));
            }
            Some(text) => Some(Wait { filter: parse_filter("--wait-for", text, table, inputs)?, timeout }),
        };
        Ok(Self {
            table,
            typed: Typed::of(l),
            filter_text,
            filter,
            any_state,
            columns,
            added,
            named,
            removed,
            resolve,
            chosen,
            extended,
            sort,
            group,
            largest_first: by_count || l.sort.is_none() && l.top.is_some(),
            top: l.top,
            format,
            header: !l.output.no_header,
            count: l.count,
            watch,
            watch_timeout: timeout.filter(|_| watch.is_some()),
            wait,
        })
    }
}

impl ListPlan {
    /// Columns that the filters and the sort order read, shown or not.
    pub fn compared_columns(&self) -> Vec<&'static Column> {
        let mut out = self.filter.columns();
        out.extend(self.wait.iter().flat_map(|w| w.filter.columns()));
        out.extend(self.sort.iter().map(|k| k.column));
        out
    }
}

/// Columns that a list of changes removes.
fn removed_columns(text: &str, table: &'static Table, kept: &[&'static Column]) -> Vec<&'static Column> {
    let words = text.split(',').map(|w| w.trim().trim_start_matches(['+', '-']));
    words.filter_map(|w| table.column(w)).filter(|c| !kept.contains(c)).collect()
}

/// Adds host names behind the remote addresses.
fn with_host_names(table: &'static Table, mut columns: Vec<&'static Column>) -> Vec<&'static Column> {
    if let Some(names) = table.column("remote_host").filter(|n| !columns.contains(n)) {
        let after = columns.iter().position(|c| matches!(c.name, "remote" | "remote_addr" | "addr"));
        columns.insert(after.map_or(columns.len(), |i| i + 1), names);
    }
    columns
}

/// Returns whether a single sample has the column, without attributes of sockets: neither ages nor rates.
fn is_known_at_once(c: &Column) -> bool {
    c.needs.attrs == AttrSet::NONE && !c.is(Role::Age) && !c.is_over_time()
}

impl ListPlan {
    /// Columns that a table shows in addition if it has the space.
    pub fn optional_columns(&self) -> Vec<&'static Column> {
        if !self.extended || self.group.is_some() || self.format != Format::Table {
            return Vec::new();
        }
        let wide = self.table.wide_columns.iter().filter_map(|name| self.table.column(name));
        let more = wide.filter(|c| is_known_at_once(c) && !self.columns.contains(c));
        more.filter(|c| !self.removed.contains(c)).collect()
    }

    /// The columns for these snapshots, with that of the network namespace if needed.
    pub fn columns_of<'s>(&self, snaps: impl IntoIterator<Item = &'s Snapshot>) -> Vec<&'static Column> {
        let mut columns = self.columns.clone();
        if self.extended && self.format == Format::Table {
            for snap in snaps {
                columns = with_namespaces(self.table, &columns, snap);
            }
            columns.retain(|c| !self.removed.contains(c));
        }
        columns
    }
}

/// Columns of a table if none were chosen: for a table or CSV its defaults, for JSON every column that costs nothing extra to
/// read.
pub fn default_columns(table: &'static Table, format: Format) -> Vec<&'static Column> {
    match format {
        Format::Table | Format::Csv | Format::Dot | Format::Mermaid => {
            table.default_columns().into_iter().filter(|c| is_known_at_once(c)).collect()
        }
        Format::Json | Format::Ndjson => {
            // Every object begins with the host name.
            let cheap = |c: &&Column| {
                c.name != HOSTNAME_COLUMN
                    && c.needs.attrs == AttrSet::NONE
                    && !c.needs.reads.contains(Reads::USAGE)
                    && (table.is_stream() || !c.needs.reads.contains(Reads::EVENTS))
                    && (table.always_needs.reads.contains(Reads::NAT) || !c.needs.reads.contains(Reads::NAT))
            };
            table.columns.iter().filter(cheap).collect()
        }
    }
}

/// Parses a filter; an error becomes one line with its position.
fn parse_filter(
    what: &str,
    text: &str,
    table: &'static Table,
    inputs: Inputs<'_>,
) -> Result<Filter, UsageError> {
    let saved = inputs.settings.saved_filters();
    Filter::parse_named(text, table, Names { services: inputs.services, saved: &saved }).map_err(|e| {
        let hint = e.hint.as_ref().map_or(String::new(), |h| format!(" ({h})"));
        UsageError(format!("{what}, at character {}: {}{hint}", char_at(text, e.span.start), e.message))
    })
}

/// Position of a byte in characters, from 1.
fn char_at(text: &str, byte: usize) -> usize {
    text.char_indices().take_while(|(i, _)| *i < byte).count() + 1
}
