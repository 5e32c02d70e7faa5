//! The hosts that a command line names, and the names in the configuration of `ssh`.

use super::args::{Args, Command};
use super::error::UsageError;
use super::user_file;
use crate::model::text::escape;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Most hosts of one run.
pub const MAX_HOSTS: usize = 1_000;
/// Most files that the configuration of `ssh` includes.
const MAX_FILES: usize = 256;
/// Deepest inclusion (`READCONF_MAX_DEPTH` of OpenSSH).
const MAX_DEPTH: u8 = 16;

/// Hosts as named on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostsPlan {
    /// Names and patterns, of flags and file, in order.
    pub names: Vec<String>,
    /// A flag named hosts.
    named: bool,
    /// Copy a program to hosts without one; within, the file unless it is this one.
    pub copy_agent: Option<Option<PathBuf>>,
}

/// Commands that take hosts.
const COMMANDS: &str = "the dashboard, list, ports, processes, peers, limits, forwards, map, who, why, check, events, dns, diff, export, query and record";

impl HostsPlan {
    /// The hosts of `--host` and `--hosts`.
    pub(super) fn new(args: &Args) -> Result<Self, UsageError> {
        let flags = &args.global;
        let mut names: Vec<String> = flags.host.clone();
        if let Some(file) = &flags.hosts {
            let text = user_file::read(file)
                .map_err(|e| UsageError(format!("--hosts: read {}: {e}", file.display())))?;
            names.extend(lines(&text));
        }
        let named = !flags.host.is_empty() || flags.hosts.is_some();
        if named {
            takes_hosts(args)?;
        }
        let copy_agent = flags.copy_agent.clone();
        if copy_agent.is_some() && !named {
            return Err(UsageError(
                "--copy-agent requires --host: it is for hosts without sockscope".to_owned(),
            ));
        }
        Ok(Self { names, named, copy_agent })
    }

    /// True if hosts are read instead of this machine.
    pub const fn is_named(&self) -> bool {
        self.named
    }

    /// The names, each once, those of patterns from these files of the configuration of `ssh`. `ssh_dir`: the directory of the
    /// user's, to which the paths in it are relative.
    pub fn resolve(&self, ssh_dir: Option<&Path>) -> Result<Vec<String>, UsageError> {
        let mut out: Vec<String> = Vec::new();
        let mut known = None;
        for name in &self.names {
            if !is_pattern(name) {
                out.push(name.clone());
                continue;
            }
            let known: &BTreeSet<String> =
                known.get_or_insert_with(|| ssh_dir.map(configured).unwrap_or_default());
            let before = out.len();
            out.extend(known.iter().filter(|host| matches(name, host)).cloned());
            if out.len() == before {
                return Err(UsageError(format!(
                    "--host: no Host line of ~/.ssh/config matches {name:?}; it has {} names",
                    known.len()
                )));
            }
        }
        let mut seen = BTreeSet::new();
        out.retain(|name| seen.insert(name.clone()));
        if out.is_empty() {
            return Err(UsageError("--hosts: the file names no host".to_owned()));
        }
        if out.len() > MAX_HOSTS {
            return Err(UsageError(format!("--host: {} hosts, at most {MAX_HOSTS}", out.len())));
        }
        Ok(out)
    }
}

/// Refuses commands that read this machine alone.
fn takes_hosts(args: &Args) -> Result<(), UsageError> {
    if args.command.as_ref().and_then(Command::listing).is_some() {
        return Ok(());
    }
    let there = |command: &str, why: &str| {
        let host = args.global.host.first().map_or_else(|| "HOST".into(), |name| escape(name));
        Err(UsageError(format!("--host: {command} {why}: ssh {host} sockscope {command} …")))
    };
    match &args.command {
        None | Some(Command::Top(_)) if args.beside.record.is_some() => {
            let why = "--record cannot be combined with --host; use: sockscope record --host HOST";
            Err(UsageError(why.to_owned()))
        }
        None
        | Some(
            Command::Top(_)
            | Command::Events(_)
            | Command::Dns(_)
            | Command::Record(_)
            | Command::Check(_)
            | Command::Who(_)
            | Command::Why(_)
            | Command::Diff(_)
            | Command::Export(_),
        ) => Ok(()),
        #[cfg(feature = "sql")]
        Some(Command::Query(_)) => Ok(()),
        Some(Command::Kill(_)) => there("kill", "acts on the machine on which it runs"),
        _ => Err(UsageError(format!("--host is for {COMMANDS}"))),
    }
}

/// Names in a file of hosts.
fn lines(text: &str) -> impl Iterator<Item = String> + '_ {
    let names = |line: &str| line.split('#').next().unwrap_or("").trim().to_owned();
    text.lines().map(names).filter(|name| !name.is_empty())
}

fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?'])
}

/// True if a pattern with `*` and `?` matches a name (`ssh_config(5)`, PATTERNS).
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => (p, n) = (p + 1, n + 1),
            _ => match &mut star {
                Some((at, from)) => {
                    *from += 1;
                    (p, n) = (*at + 1, *from);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Names of the `Host` lines of the user's configuration and of what it includes, without patterns.
fn configured(ssh_dir: &Path) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    let mut files = 0;
    read_config(&ssh_dir.join("config"), ssh_dir, 0, &mut files, &mut out);
    out
}

fn read_config(file: &Path, ssh_dir: &Path, depth: u8, files: &mut usize, out: &mut BTreeSet<String>) {
    *files += 1;
    if depth > MAX_DEPTH || *files > MAX_FILES {
        return;
    }
    // What cannot be read has no names; ssh reports it.
    let Ok(text) = user_file::read(file) else { return };
    for line in text.lines() {
        let line = line.trim();
        let Some((key, rest)) = line.split_once([' ', '\t', '=']) else { continue };
        let words = rest.trim_start_matches([' ', '\t', '=']).split_whitespace().map(|w| w.trim_matches('"'));
        if key.eq_ignore_ascii_case("host") {
            out.extend(words.filter(|w| !is_pattern(w) && !w.starts_with('!')).map(str::to_owned));
        } else if key.eq_ignore_ascii_case("include") {
            for word in words {
                for file in included(word, ssh_dir) {
                    read_config(&file, ssh_dir, depth + 1, files, out);
                }
            }
        }
    }
}

/// Files of an `Include`: a path, in its last part with a pattern.
fn included(word: &str, ssh_dir: &Path) -> Vec<PathBuf> {
    let home = || ssh_dir.parent().unwrap_or(ssh_dir);
    let path = match word.strip_prefix("~/") {
        Some(rest) => home().join(rest),
        None => ssh_dir.join(word),
    };
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    if !is_pattern(&name) {
        return vec![path];
    }
    let entries = path.parent().and_then(|dir| std::fs::read_dir(dir).ok());
    let fits = |e: &std::fs::DirEntry| matches(&name, &e.file_name().to_string_lossy());
    let mut out: Vec<PathBuf> =
        entries.into_iter().flatten().flatten().filter(fits).map(|e| e.path()).take(MAX_FILES).collect();
    out.sort();
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_ssh() {
        for (pattern, name, want) in [
            ("web-*", "web-1", true),
            ("web-*", "db-web-1", false),
            ("*", "x", true),
            ("w?b*1", "web-11", true),
            ("w?b*1", "web-12", false),
            ("*a*b", "xxaxbxb", true),
            ("?", "", false),
            ("**", "", true),
        ] {
            assert_eq!(matches(pattern, name), want, "{pattern} {name}");
        }
    }

    #[test]
    fn pattern_is_expanded_from_host_lines_and_includes() {
        let dir = tempfile::tempdir().unwrap();
        let ssh = dir.path().join(".ssh");
        std::fs::create_dir_all(ssh.join("conf.d")).unwrap();
        let text = "# Host no-1\nHost web-1 web-2 !web-9\n  HostName 10.0.0.1\nHOST=db\nHost *\nInclude conf.d/*.conf config\n";
        std::fs::write(ssh.join("config"), text).unwrap();
        std::fs::write(ssh.join("conf.d/a.conf"), "Host \"web-3\"\nInclude ~/.ssh/conf.d/more\n").unwrap();
        std::fs::write(ssh.join("conf.d/more"), "Host web-4\n").unwrap();
        std::fs::write(ssh.join("conf.d/b.txt"), "Host web-5\n").unwrap();
        let plan = |names: &[&str]| HostsPlan {
            names: names.iter().map(|n| (*n).to_owned()).collect(),
            named: true,
            copy_agent: None,
        };
        let resolved = plan(&["db", "web-*", "web-1", "root@x"]).resolve(Some(&ssh)).unwrap();
        assert_eq!(resolved, ["db", "web-1", "web-2", "web-3", "web-4", "root@x"]);
        let e = plan(&["mail-*"]).resolve(Some(&ssh)).unwrap_err().to_string();
        assert!(e.contains("\"mail-*\"") && e.contains("5 names"), "{e}");
        assert!(plan(&["*"]).resolve(None).is_err());
        assert!(plan(&[]).resolve(None).is_err());
    }

    #[test]
    fn file_of_hosts_has_one_a_line() {
        let names: Vec<String> = lines("web-1 # first\n\n# all\n  web-2\n").collect();
        assert_eq!(names, ["web-1", "web-2"]);
    }
}
