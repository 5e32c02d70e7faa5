//! Flags of `ss(8)`, `netstat(8)` and `lsof(8)` typed here: translated, or an error that names the equivalent where a letter has
//! another meaning.

use super::args::{Args, FormatArg};
use super::equivalents::{CLASHES, Clash};
use super::error::UsageError;
use super::kill::signal_flag;
use super::ss_flags::SS_FLAGS;
use crate::format::did_you_mean;
use crate::table::{TABLES, error::names};
use clap::{Arg, ArgAction, CommandFactory, ValueEnum};
use std::collections::HashMap;
use std::ffi::OsString;

/// Letters that need nothing here: `ss -O` and `netstat -W`, since a row is one line and piped output is never cut.
const IGNORED: [char; 2] = ['O', 'W'];

impl Clash {
    fn error(&self) -> UsageError {
        let letter = self.letter;
        let here = self.here.map_or_else(|| "is not a flag here".to_owned(), str::to_owned);
        UsageError(format!("-{letter} {here}; {}", self.instead))
    }
}

/// The arguments with those of other tools translated; an error names the equivalent of one that means something else here.
pub fn translate(args: Vec<OsString>) -> Result<Vec<OsString>, UsageError> {
    if !args.iter().any(|a| a.to_str().is_some_and(|a| a.starts_with('-') && a.len() > 1)) {
        return Ok(args);
    }
    let flags = Flags::new();
    let mut out = Vec::with_capacity(args.len());
    let mut rest = args.into_iter().peekable();
    out.extend(rest.next());
    let mut is_kill = false;
    while let Some(arg) = rest.next() {
        is_kill |= arg == "kill" && out.iter().skip(1).all(|a| a.as_encoded_bytes().starts_with(b"-"));
        if let Some(flag) = arg.to_str().filter(|_| is_kill).and_then(signal_flag) {
            out.push(flag.into());
            continue;
        }
        let text = arg.to_str().unwrap_or("");
        // kill(1): `-s TERM`.
        if is_kill && text == "-s" {
            out.push("--signal".into());
            out.extend(rest.next());
            continue;
        }
        if text == "--" {
            out.push(arg);
            break;
        }
        if let Some(long) = text.strip_prefix("--") {
            if let Some(clash) = CLASHES.iter().find(|c| !c.long.is_empty() && c.long == long)
                && !flags.longs.contains_key(long)
            {
                return Err(clash.error());
            }
            let takes_value = flags.longs.get(long).is_some_and(|takes| *takes);
            if long == "watch" {
                refuse_number("--watch", rest.peek().and_then(|n| n.to_str()))?;
            }
            out.push(arg);
            if takes_value {
                out.extend(rest.next());
            }
        } else if let Some(letters) = text.strip_prefix('-').filter(|l| !l.is_empty()) {
            let next = rest.peek().and_then(|n| n.to_str());
            let bundle = flags.bundle(letters, next)?;
            out.extend(bundle.args.into_iter().map(OsString::from));
            if bundle.takes_next {
                out.extend(rest.next());
            }
        } else {
            out.push(arg);
        }
    }
    out.extend(rest);
    Ok(out)
}

/// The flags of this program: letters and long names, and whether they take a value.
struct Flags {
    letters: HashMap<char, bool>,
    longs: HashMap<String, bool>,
}

/// An argument of letters, translated.
#[derive(Default)]
struct Bundle {
    args: Vec<String>,
    /// The next argument is the value of the last letter.
    takes_next: bool,
}

impl Flags {
    fn new() -> Self {
        let mut flags = Self { letters: HashMap::from([('h', false), ('V', false)]), longs: HashMap::new() };
        let command = Args::command();
        for arg in
            std::iter::once(&command).chain(command.get_subcommands()).flat_map(clap::Command::get_arguments)
        {
            let takes = takes_value(arg);
            flags.letters.extend(arg.get_short().map(|c| (c, takes)));
            flags.longs.extend(arg.get_long().map(|l| (l.to_owned(), takes)));
        }
        flags
    }

    /// Translates letters behind one `-`.
    fn bundle(&self, letters: &str, next: Option<&str>) -> Result<Bundle, UsageError> {
        let mut out = Bundle::default();
        let mut kept = String::from("-");
        for (at, letter) in letters.char_indices() {
            let after = &letters[at + letter.len_utf8()..];
            let before = &letters[..at];
            let clash = CLASHES.iter().find(|c| c.letter == letter);
            match (self.letters.get(&letter), clash) {
                _ if IGNORED.contains(&letter) => {}
                _ if letter == 'P' => kept.push('n'),
                (None, Some(clash)) => return Err(clash.error()),
                (Some(true), clash) => {
                    let value = if after.is_empty() { next } else { Some(after.trim_start_matches('=')) };
                    if letter == 'i' && !after.starts_with('=') {
                        match self.interval_or_info(before, after, next)? {
                            Meaning::Info => {
                                out.args.push("--info".to_owned());
                                continue;
                            }
                            Meaning::Own => {}
                        }
                    } else if let Some(clash) = clash
                        && !is_value(letter, value)
                    {
                        let UsageError(text) = clash.error();
                        let word = value.filter(|v| ['c', 's', 'g'].contains(&letter) && is_name(v));
                        let unknown = word.map_or_else(String::new, |w| format!("no column {w:?}; "));
                        return Err(UsageError(unknown + &text));
                    }
                    kept.push(letter);
                    kept.push_str(after);
                    out.takes_next = after.is_empty();
                    break;
                }
                (Some(false), Some(clash)) if letter == 'w' => {
                    let selects =
                        |text: &str| text.chars().any(|c| SS_FLAGS.iter().any(|f| f.short == Some(c)));
                    let has_value = after.starts_with(|c: char| c == '=' || c.is_ascii_digit());
                    if selects(before) || (!has_value && selects(after)) {
                        return Err(clash.error());
                    }
                    if after.is_empty() {
                        refuse_number("-w", next)?;
                    }
                    kept.push(letter);
                    if has_value {
                        // As for watch(1) and vmstat(8) a number is in seconds.
                        let unit = if is_number(after.trim_start_matches('=')) { "s" } else { "" };
                        kept.push_str(if after.starts_with('=') { "" } else { "=" });
                        kept.push_str(after);
                        kept.push_str(unit);
                        break;
                    }
                }
                _ => kept.push(letter),
            }
        }
        if kept.len() > 1 {
            out.args.insert(0, kept);
        }
        Ok(out)
    }

    /// The meaning of `-i`: an interval if a duration follows, `ss -i` among other letters, else an error.
    fn interval_or_info(&self, before: &str, after: &str, next: Option<&str>) -> Result<Meaning, UsageError> {
        let value = if after.is_empty() { next.unwrap_or("") } else { after };
        if value.starts_with(|c: char| c.is_ascii_digit())
            && value.ends_with(|c: char| c.is_ascii_alphabetic())
        {
            return Ok(Meaning::Own);
        }
        let is_switch = |c: char| self.letters.get(&c) == Some(&false);
        let switches =
            before.chars().chain(after.chars()).filter(|c| *c != 'i').all(|c| is_switch(c) || c == 'P');
        if switches
            && !(before.is_empty() && after.is_empty())
            && !after.starts_with(|c: char| c.is_ascii_digit())
        {
            return Ok(Meaning::Info);
        }
        let Some(clash) = CLASHES.iter().find(|c| c.letter == 'i') else { return Ok(Meaning::Own) };
        match lsof_filter(value) {
            Some(filter) => {
                let UsageError(text) = clash.error();
                let general = "sockscope :8080";
                Err(UsageError(text.replace(general, &format!("sockscope {filter}"))))
            }
            None if value.is_empty() || value.starts_with('-') => Err(clash.error()),
            // An invalid duration has its own error.
            None => Ok(Meaning::Own),
        }
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Refuses a number behind the flag, which can be an interval or a port.
fn refuse_number(flag: &str, next: Option<&str>) -> Result<(), UsageError> {
    match next.filter(|n| is_number(n)) {
        Some(n) => Err(UsageError(format!(
            "{flag} {n}: for every {n} seconds: {flag}={n}s; for port {n}: {flag} :{n}"
        ))),
        None => Ok(()),
    }
}

/// True for a word that looks like the name of a column.
fn is_name(text: &str) -> bool {
    let text = text.trim_start_matches('+');
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || "_,".contains(c))
}

/// Meaning of `-i`.
enum Meaning {
    /// An interval.
    Own,
    /// `ss -i`.
    Info,
}

fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
        && arg.get_num_args().is_none_or(|n| n.min_values() > 0)
}

/// Returns whether a word can be the value of this letter, mistyped or not.
fn is_value(letter: char, value: Option<&str>) -> bool {
    let Some(value) = value.filter(|v| !v.is_empty()) else {
        return letter != 's' && letter != 'c' && value.is_some();
    };
    let columns = || TABLES.into_iter().flat_map(names);
    let known = |word: &str| {
        let word = word.trim_start_matches(['+', '-']);
        let word = word.split(':').next().unwrap_or(word);
        ["all", "help", "none", "count", ""].contains(&word)
            || columns().any(|c| c == word)
            || did_you_mean::nearest(word, columns()).is_some()
    };
    match letter {
        's' if ["TCP:", "UDP:"].iter().any(|p| value.to_ascii_uppercase().starts_with(p)) => false,
        'c' | 's' | 'g' => value.split(',').any(|w| known(w.trim())),
        'f' => {
            let formats: Vec<_> =
                FormatArg::value_variants().iter().filter_map(ValueEnum::to_possible_value).collect();
            let formats =
                || formats.iter().map(clap::builder::PossibleValue::get_name).chain(["text", "svg"]);
            formats().any(|f| f == value)
                || did_you_mean::nearest(value, formats()).is_some()
                || !["inet", "inet6", "link", "unix", "netlink", "vsock", "tipc", "xdp"].contains(&value)
        }
        _ => true,
    }
}

/// The filter for a value of `lsof -i`: `[46][protocol][@address][:port]`.
fn lsof_filter(value: &str) -> Option<String> {
    let (version, rest) = match value.strip_prefix(['4', '6']) {
        Some(rest) if rest.is_empty() || !rest.starts_with(|c: char| c.is_ascii_digit()) => {
            (value.chars().next(), rest)
        }
        _ => (None, value),
    };
    let mut terms: Vec<String> = Vec::new();
    terms
        .extend(version.map(|v| if v == '4' { "family:inet".to_owned() } else { "family:inet6".to_owned() }));
    let end = rest.find(['@', ':']).unwrap_or(rest.len());
    let (proto, rest) = rest.split_at(end);
    match proto.to_ascii_lowercase().as_str() {
        "" => {}
        p @ ("tcp" | "udp") => terms.push(format!("proto:{p}")),
        port if port.bytes().all(|b| b.is_ascii_digit()) => terms.push(format!(":{port}")),
        _ => return None,
    }
    let (host, port) = match rest.strip_prefix('@') {
        Some(rest) if rest.starts_with('[') => rest.split_once(']').map_or((rest, ""), |(h, p)| (&h[1..], p)),
        Some(rest) => rest.split_once(':').map_or((rest, ""), |(h, _)| (h, &rest[h.len()..])),
        None => ("", rest),
    };
    if !host.is_empty() {
        terms.push(format!("addr:{host}"));
    }
    if port.len() > 1 {
        terms.push(format!("port{port}"));
    }
    let filter = terms.join(" ").replace("port:", ":");
    let plain = |c: char| c.is_ascii_alphanumeric() || " :.,-_/".contains(c);
    (!filter.is_empty() && filter.chars().all(plain)).then_some(filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(args: &str) -> Result<String, String> {
        let args = std::iter::once("sockscope").chain(args.split_whitespace()).map(OsString::from).collect();
        let out = translate(args).map_err(|e| e.0)?;
        Ok(out.iter().skip(1).map(|a| a.to_string_lossy()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn letters_of_other_tools_are_translated_or_explained() {
        for (args, want) in [
            ("list -tulpn", "list -tulpn"),
            ("list -ti", "list -t --info"),
            ("list -tin state established", "list -tn --info state established"),
            ("list -it", "list -t --info"),
            ("list -nP", "list -nn"),
            ("list -tanO", "list -tan"),
            ("list -i 2s", "list -i 2s"),
            ("-ti 500ms", "-ti 500ms"),
            ("list -i2s", "list -i2s"),
            ("list -w", "list -w"),
            ("list -w2", "list -w=2s"),
            ("list -w=2 -t", "list -w=2s -t"),
            ("list -w500ms", "list -w=500ms"),
            ("list -w :80", "list -w :80"),
            ("list -w nginx", "list -w nginx"),
            ("kill -s TERM :8080", "kill --signal TERM :8080"),
            ("list -Hw", "list -Hw"),
            ("list -w=2s -t", "list -w=2s -t"),
            ("list -s rx:desc", "list -s rx:desc"),
            ("list -s -rx", "list -s -rx"),
            ("list -c -rx,tx", "list -c -rx,tx"),
            ("list -c +client -g process", "list -c +client -g process"),
            ("list -f json", "list -f json"),
            ("list --sort -K", "list --sort -K"),
            ("list -- -K", "list -- -K"),
            ("list -s rtt_uss", "list -s rtt_uss"),
        ] {
            assert_eq!(line(args).as_deref(), Ok(want), "{args}");
        }
        for (args, want) in [
            ("-i", "-i takes an interval, such as 2s; for ss -i: --info; for lsof -i: sockscope :8080"),
            ("-i 8080", "for lsof -i: sockscope :8080"),
            ("-i :443", "for lsof -i: sockscope :443"),
            ("-i:443", "for lsof -i: sockscope :443"),
            ("-i tcp", "for lsof -i: sockscope proto:tcp"),
            ("-iTCP -sTCP:LISTEN", "for lsof -i: sockscope proto:tcp"),
            ("-i 4", "for lsof -i: sockscope family:inet"),
            ("-i6TCP@[::1]:22", "for lsof -i: sockscope family:inet6 proto:tcp addr:::1 :22"),
            ("-i @10.0.0.9", "for lsof -i: sockscope addr:10.0.0.9"),
            ("-s", "-s takes a column to sort by; for ss -s"),
            ("-tus", "-s takes a column to sort by; for ss -s"),
            ("-s -t", "-s takes a column"),
            ("-sTCP:LISTEN", "for lsof -s: state:listen"),
            ("--summary", "for ss -s"),
            ("-tw", "-w repeats the listing (--watch); for ss -w"),
            ("-wan", "-w repeats the listing"),
            ("-tnc", "for netstat -c: --watch"),
            ("list -w 2", "-w 2: for every 2 seconds: -w=2s; for port 2: -w :2"),
            ("list --watch 5 nginx", "--watch 5: for every 5 seconds: --watch=5s"),
            ("-c xyzzyplugh", "no column \"xyzzyplugh\"; -c takes columns"),
            ("list -s +xyzzyplugh", "no column \"+xyzzyplugh\"; -s takes a column"),
            ("-c xyzzyplugh", "for lsof -c: sockscope NAME"),
            ("-f inet", "for ss -f: family:inet"),
            ("-K dst 10.0.0.9", "-K is not a flag here; for ss -K: sockscope kill FILTER --close"),
            ("-tuE", "for ss -E"),
            ("-tM", "for ss -M: proto:mptcp"),
        ] {
            let error = line(args).expect_err(args);
            assert!(error.contains(want), "{args}: {error}");
        }
    }

    #[test]
    fn clashes_are_flags_here_exactly_if_they_state_a_meaning() {
        let flags = Flags::new();
        for c in &CLASHES {
            assert_eq!(flags.letters.contains_key(&c.letter), c.here.is_some(), "-{}", c.letter);
            assert!(!SS_FLAGS.iter().any(|f| f.short == Some(c.letter)), "-{}", c.letter);
        }
        for f in SS_FLAGS.iter().filter(|f| f.short.is_none()) {
            assert!(CLASHES.iter().any(|c| c.letter == f.letter), "-{}", f.letter);
        }
    }
}
