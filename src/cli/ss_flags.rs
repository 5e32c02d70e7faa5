//! Flags of `ss(8)` that have the same meaning here. Parser, help, manual page and completion are made of [`SS_FLAGS`].

use super::error::UsageError;
use crate::filter::Filter;
use crate::format::{Column, Role};
use crate::table::Table;
use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches};

/// Effect of a flag on the rows or columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Sockets of this protocol, besides those of other such flags.
    Proto(&'static str),
    /// Sockets of this family, besides those of other such flags.
    Family(&'static str),
    /// Listening and unconnected sockets only.
    Listening,
    /// Sockets in any state.
    All,
    /// Columns after the others.
    Columns(&'static [&'static str]),
}

/// A flag of `ss`.
#[derive(Clone, Copy, Debug)]
pub struct SsFlag {
    /// Letter; `None` where it has another meaning here.
    pub short: Option<char>,
    /// Letter in `ss`.
    pub letter: char,
    /// Long name, as in `ss`.
    pub long: &'static str,
    /// Effect.
    pub effect: Effect,
    /// Help.
    pub help: &'static str,
}

/// Timer columns: `ss -o`.
const TIMER: [&str; 3] = ["timer", "timer_expires_ms", "retransmits"];

/// The flags, in the order of the help.
pub const SS_FLAGS: [SsFlag; 13] = [
    flag(
        't',
        "tcp",
        Effect::Proto("tcp"),
        "TCP sockets: connected ones; -l listening ones, -a all, as in ss",
    ),
    flag('u', "udp", Effect::Proto("udp"), "UDP sockets"),
    flag('x', "unix", Effect::Proto("unix"), "UNIX sockets"),
    SsFlag { short: None, ..flag('w', "raw", Effect::Proto("raw"), "Raw sockets (ss -w)") },
    flag('4', "ipv4", Effect::Family("inet"), "IPv4 sockets"),
    flag('6', "ipv6", Effect::Family("inet6"), "IPv6 sockets"),
    flag(
        'l',
        "listening",
        Effect::Listening,
        "Listening and unconnected sockets; alone of TCP and UDP (ss -l: of every family), -x of UNIX",
    ),
    flag(
        'a',
        "all",
        Effect::All,
        "Sockets in any state, as in ss without TCP sockets that are bound only (state:closed); alone: the default, TCP and UDP",
    ),
    flag('p', "processes", Effect::Columns(&["fd"]), "Add the fd number; the process is always shown"),
    flag(
        'e',
        "extended",
        Effect::Columns(&["timer", "timer_expires_ms", "retransmits", "user", "inode", "cookie", "cgroup"]),
        "Add timer, user, inode, cookie and cgroup",
    ),
    flag('o', "options", Effect::Columns(&TIMER), "Add the timer"),
    flag(
        'm',
        "memory",
        Effect::Columns(&[
            "skmem_rmem_alloc",
            "skmem_rcvbuf",
            "skmem_wmem_alloc",
            "skmem_sndbuf",
            "skmem_fwd_alloc",
            "skmem_wmem_queued",
            "skmem_optmem",
            "skmem_backlog",
            "drops",
        ]),
        "Add socket memory",
    ),
    SsFlag {
        short: None,
        ..flag(
            'i',
            "info",
            Effect::Columns(&[
                "congestion",
                "rtt_us",
                "rttvar_us",
                "rto_us",
                "snd_cwnd",
                "snd_ssthresh",
                "snd_mss",
                "pmtu",
                "bytes_sent",
                "bytes_acked",
                "bytes_received",
                "total_retrans",
                "unacked",
                "send_rate",
                "pacing_rate",
                "delivery_rate",
                "min_rtt_us",
            ]),
            "Add fields of tcp_info (ss -i; also as -ti, -tin)",
        )
    },
];

const fn flag(letter: char, long: &'static str, effect: Effect, help: &'static str) -> SsFlag {
    SsFlag { short: Some(letter), letter, long, effect, help }
}

/// The flags that were given.
#[derive(Clone, Debug, Default)]
pub struct SsFlags(Vec<&'static SsFlag>);

/// All but TCP sockets that are bound only.
const BOUND_ONLY: &str = "not ( proto:tcp state:closed )";

/// Heading of these flags in the help.
const HEADING: &str = "Selection, as in ss";

impl clap::Args for SsFlags {
    fn augment_args(command: Command) -> Command {
        command.args(SS_FLAGS.iter().map(|f| {
            Arg::new(f.long)
                .long(f.long)
                .short(f.short)
                .help(f.help)
                .help_heading(HEADING)
                .action(ArgAction::SetTrue)
                .overrides_with(f.long)
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SsFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(SS_FLAGS.iter().filter(|f| matches.get_flag(f.long)).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl SsFlags {
    /// The filter that the flags stand for; empty if they select nothing. As in `ss`, protocols and families without `-l` or
    /// `-a` are those of connections, and states that the filter itself names replace those of the flags.
    fn filter_text(&self, table: &'static Table, filter: &Filter) -> Result<String, UsageError> {
        let names = |pick: fn(Effect) -> Option<&'static str>| -> Vec<&str> {
            self.0.iter().filter_map(|f| pick(f.effect)).collect()
        };
        let protos = names(|e| if let Effect::Proto(p) = e { Some(p) } else { None });
        let families = names(|e| if let Effect::Family(f) = e { Some(f) } else { None });
        let mut terms = Vec::new();
        for (values, column) in [(&protos, "proto"), (&families, "family")] {
            if values.is_empty() {
                continue;
            }
            if table.column(column).is_none() {
                let flags = self.0.iter().filter(|f| values.contains(&f.effect.value()));
                let flags: Vec<String> = flags.map(|f| f.typed()).collect();
                let (flags, table) = (flags.join(" "), table.name);
                return Err(UsageError(format!(
                    "{flags}: {table} has no column {column}; it selects sockets"
                )));
            }
            terms.push(format!("{column}:{}", values.join(",")));
        }
        let has = |effect| self.0.iter().any(|f| f.effect == effect);
        let named = filter.columns().iter().any(|c| c.is(Role::State));
        if table.is_sockets() && !named {
            if has(Effect::All) {
                // Bound sockets that neither listen nor are connected are shown with `ss -B` only.
                match &protos[..] {
                    ["tcp"] => terms.push("state!=closed".to_owned()),
                    [] if families.is_empty() => {}
                    [] => terms.push(BOUND_ONLY.to_owned()),
                    all if all.contains(&"tcp") => terms.push(BOUND_ONLY.to_owned()),
                    _ => {}
                }
            } else if has(Effect::Listening) {
                terms.push("state:listen,unconn".to_owned());
            } else if !terms.is_empty() {
                terms.push("state:connected state!=time-wait,syn-recv".to_owned());
            }
        }
        Ok(terms.join(" "))
    }

    /// The same flags and `-a`.
    #[must_use]
    pub(super) fn with_all(&self) -> Self {
        let all = SS_FLAGS.iter().filter(|f| f.effect == Effect::All);
        Self(self.0.iter().copied().chain(all).collect())
    }

    /// The text of a filter with the selection of the flags before it.
    pub(super) fn with_filter(
        &self,
        text: &str,
        filter: &Filter,
        parse: &dyn Fn(&str) -> Result<Filter, UsageError>,
    ) -> Result<String, UsageError> {
        let selection = self.filter_text(filter.table(), filter)?;
        if selection.is_empty() || filter.is_everything() {
            return Ok(if selection.is_empty() { text.to_owned() } else { selection });
        }
        // `a or b` and leading states of ss need parentheses behind the selection.
        let (plain, grouped) = (format!("{selection} {text}"), format!("{selection} ( {text} )"));
        let wanted = parse(&grouped)?;
        Ok(if parse(&plain).is_ok_and(|f| f == wanted) { plain } else { grouped })
    }

    /// The columns that the flags add.
    pub(super) fn columns(&self, table: &'static Table) -> Vec<&'static Column> {
        let names = self.0.iter().flat_map(|f| match f.effect {
            Effect::Columns(names) => names,
            _ => &[],
        });
        names.filter_map(|name| table.column(name)).collect()
    }
}

impl Effect {
    const fn value(self) -> &'static str {
        match self {
            Self::Proto(v) | Self::Family(v) => v,
            _ => "",
        }
    }
}

impl SsFlag {
    /// The flag as it is typed here.
    fn typed(&self) -> String {
        self.short.map_or_else(|| format!("--{}", self.long), |c| format!("-{c}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Args;
    use crate::cli::args::Command as Sub;
    use crate::table::{SOCKETS, TABLES};
    use clap::Parser;

    fn text(args: &str) -> String {
        let args =
            Args::try_parse_from(["sockscope", "list"].into_iter().chain(args.split_whitespace())).unwrap();
        let Some(Sub::List(list)) = args.command else { panic!() };
        let parse = |t: &str| Filter::parse(t, &SOCKETS).map_err(|e| UsageError(e.to_string()));
        let text = list.filter.join(" ");
        list.ss.with_filter(&text, &parse(&text).unwrap(), &parse).unwrap()
    }

    #[test]
    fn flags_select_as_in_ss() {
        for (args, want) in [
            ("", ""),
            ("-tulpn", "proto:tcp,udp state:listen,unconn"),
            ("-t", "proto:tcp state:connected state!=time-wait,syn-recv"),
            ("-ta", "proto:tcp state!=closed"),
            ("-tla", "proto:tcp state!=closed"),
            ("-tan state established", "proto:tcp state established"),
            ("-tl state established", "proto:tcp state established"),
            ("-tl :443", "proto:tcp state:listen,unconn :443"),
            ("-ta nginx or api", "proto:tcp state!=closed ( nginx or api )"),
            ("-ta state established nginx or api", "proto:tcp ( state established nginx or api )"),
            ("-l", "state:listen,unconn"),
            ("-a", ""),
            ("-p nginx", "nginx"),
            ("-4 -6 -t -a --raw", "proto:tcp,raw family:inet,inet6 not ( proto:tcp state:closed )"),
            ("-4a", "family:inet not ( proto:tcp state:closed )"),
            ("-ua", "proto:udp"),
            ("-ta state:closed", "proto:tcp state:closed"),
            ("-tttt -a", "proto:tcp state!=closed"),
        ] {
            assert_eq!(text(args), want, "{args}");
        }
    }

    #[test]
    fn columns_of_the_flags_exist() {
        for f in SS_FLAGS {
            let Effect::Columns(names) = f.effect else { continue };
            for name in names {
                assert!(SOCKETS.column(name).is_some(), "-{}: {name}", f.letter);
            }
        }
        assert!(TABLES.iter().all(|t| SsFlags(vec![&SS_FLAGS[9]]).columns(t).len() <= 7));
    }
}
