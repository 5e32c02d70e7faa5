//! A copy of this program on a host that has none: sent over the connection of `ssh`, compared, and started there.
//!
//! The command on the host is one constant script. Names, sizes and digests follow on its standard input, as do the bytes, so that
//! nothing of this machine is ever part of a shell command. The copy is in the user's cache and names its version and digest:
//!
//! | from | line |
//! |---|---|
//! | host | `sockscope-copy machine x86_64` |
//! | here | name, SHA-256 and length of the file |
//! | host | `sockscope-copy want`, or `have` if it is there with this digest |
//! | here | the bytes, if they are wanted |
//! | host | `sockscope-copy ready`, and the stream of the agent; or `refused` with the reason |

use crate::model::text::escape;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::sync::{Arc, OnceLock};

/// Script on the host, in single quotes: the login shell of the user, which can be any, passes it on as it is.
pub(super) const SCRIPT: &str = concat!(
    "'umask 077; ",
    "put() { echo \"sockscope-copy $1\"; }; refuse() { put \"refused $1\"; exit 1; }; ",
    "digest() { sha256sum \"$1\" | { read -r first rest; echo \"$first\"; }; }; ",
    "t=; clean() { [ -z \"$t\" ] || rm -f \"$t\"; }; trap clean EXIT; trap \"exit 1\" HUP INT TERM; ",
    "put \"machine $(uname -m)\"; read -r name sum size || exit 1; ",
    "command -v sha256sum >/dev/null || refuse \"sha256sum is not installed\"; ",
    "[ -n \"$XDG_CACHE_HOME$HOME\" ] || refuse \"HOME is not set\"; ",
    "d=\"${XDG_CACHE_HOME:-$HOME/.cache}/sockscope\"; f=\"$d/$name\"; ",
    "mkdir -p \"$d\" && chmod 700 \"$d\" || refuse \"cannot write to $d\"; ",
    "if [ -f \"$f\" ] && [ \"$(digest \"$f\")\" = \"$sum\" ]; then put have; else ",
    "t=$(mktemp \"$d/.new.XXXXXX\") || refuse \"cannot write to $d\"; put want; ",
    "head -c \"$size\" >\"$t\" || refuse \"cannot write to $d\"; ",
    "[ \"$(digest \"$t\")\" = \"$sum\" ] || refuse \"what arrived has another SHA-256\"; ",
    "chmod 700 \"$t\"; \"$t\" version </dev/null >/dev/null || refuse \"the copy does not start\"; ",
    "mv -f \"$t\" \"$f\" || refuse \"cannot write to $d\"; t=; ",
    "for old in \"$d\"/sockscope-*; do [ \"$old\" = \"$f\" ] || rm -f \"$old\"; done; fi; ",
    "put ready; exec \"$f\" agent --stdio'",
);
/// Start of the lines of the script, which tells them from what a start-up file prints.
const PREFIX: &str = "sockscope-copy ";
/// Longest line and most bytes of the answers of the script.
const MAX_LINE: usize = 1 << 10;
const MAX_ANSWER: usize = 64 << 10;
/// Largest file that is copied, bytes.
const MAX_FILE: usize = 512 << 20;
/// Length of the part of the digest in the name, hexadecimal digits.
const DIGITS: usize = 16;

/// Machines (`e_machine` of elf(5), little-endian or not) with their names in `uname(2)`; names that end in `*` are prefixes.
const MACHINES: [(u16, bool, &[&str]); 8] = [
    (62, true, &["x86_64"]),
    (183, true, &["aarch64"]),
    // 64-bit x86 runs programs of 32 bits.
    (3, true, &["i386", "i486", "i586", "i686", "x86_64"]),
    (40, true, &["armv*"]),
    (243, true, &["riscv64"]),
    (22, false, &["s390x"]),
    (21, true, &["ppc64le"]),
    (258, true, &["loongarch64"]),
];

/// Reason why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The file cannot run on Linux.
    #[error("not a program for Linux (ELF)")]
    NotElf,
    /// The file is for a machine without a name.
    #[error("a program for an unknown machine (e_machine {0})")]
    UnknownMachine(u16),
    /// The file is too large.
    #[error("{0} bytes, more than the {MAX_FILE} allowed")]
    TooLarge(usize),
    /// The host is another machine.
    #[error("the program is for {ours}, that host is {theirs}: name one for it, --copy-agent=FILE")]
    Machine {
        /// Machine of the file.
        ours: &'static str,
        /// Machine of the host.
        theirs: String,
    },
    /// The script refused.
    #[error("{0}")]
    Refused(String),
    /// The script answered something else.
    #[error("unexpected answer {0:?}")]
    Unexpected(String),
    /// The connection ended.
    #[error("the connection ended while the agent was copied")]
    Ended,
    /// Reading or writing failed.
    #[error("copy the agent: {0}")]
    Io(#[from] io::Error),
}

/// Program to copy.
#[derive(Clone, Debug)]
pub struct AgentBinary {
    bytes: Arc<[u8]>,
    machines: &'static [&'static str],
    /// SHA-256, computed when a host has no program.
    digest: Arc<OnceLock<String>>,
    interpreter: Option<String>,
}

impl AgentBinary {
    /// A program from the bytes of its file.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, CopyError> {
        if bytes.len() > MAX_FILE {
            return Err(CopyError::TooLarge(bytes.len()));
        }
        let elf = Elf::parse(&bytes).ok_or(CopyError::NotElf)?;
        let known =
            MACHINES.iter().find(|(number, little, _)| (*number, *little) == (elf.machine, elf.little));
        let machines = known.map(|(_, _, names)| *names).ok_or(CopyError::UnknownMachine(elf.machine))?;
        let interpreter = elf.interpreter(&bytes);
        Ok(Self { digest: Arc::default(), bytes: bytes.into(), machines, interpreter })
    }

    /// Dynamic linker that the program needs (`PT_INTERP`), escaped; `None`: it is static and runs on any host of its machine.
    pub fn interpreter(&self) -> Option<&str> {
        self.interpreter.as_deref()
    }

    /// Name of the copy.
    fn name(&self) -> String {
        let digest = self.digest();
        format!("sockscope-{}-{}", env!("CARGO_PKG_VERSION"), &digest[..DIGITS.min(digest.len())])
    }

    fn digest(&self) -> &str {
        self.digest.get_or_init(|| {
            let mut hex = String::new();
            for byte in Sha256::digest(&self.bytes) {
                // Writing to a string does not fail.
                let _ = write!(hex, "{byte:02x}");
            }
            hex
        })
    }

    /// Makes the copy, or finds it, by talking to the script. After that the stream is that of the agent.
    pub(super) fn send(&self, input: &mut impl Read, output: &mut impl Write) -> Result<(), CopyError> {
        let mut left = MAX_ANSWER;
        let first = answer(input, &mut left)?;
        let theirs =
            first.strip_prefix("machine ").ok_or_else(|| CopyError::Unexpected(escape(&first).into()))?;
        if !self.machines.iter().any(|name| is_machine(name, theirs)) {
            let ours = self.machines.first().copied().unwrap_or_default();
            return Err(CopyError::Machine { ours, theirs: escape(theirs).into_owned() });
        }
        writeln!(output, "{} {} {}", self.name(), self.digest(), self.bytes.len())?;
        output.flush()?;
        let mut next = answer(input, &mut left)?;
        if next == "want" {
            // A host that takes no more has a reason, which is its next line.
            if let Err(e) = output.write_all(&self.bytes).and_then(|()| output.flush())
                && e.kind() != io::ErrorKind::BrokenPipe
            {
                return Err(e.into());
            }
        } else if next != "have" {
            return Err(refusal(&next));
        }
        next = answer(input, &mut left)?;
        if next == "ready" { Ok(()) } else { Err(refusal(&next)) }
    }
}

/// True if this is a machine of this name.
fn is_machine(name: &str, machine: &str) -> bool {
    name.strip_suffix('*').map_or(name == machine, |prefix| machine.starts_with(prefix))
}

fn refusal(line: &str) -> CopyError {
    let shown = |text: &str| escape(text).into_owned();
    match line.strip_prefix("refused ") {
        Some(why) => CopyError::Refused(shown(why)),
        None => CopyError::Unexpected(shown(line)),
    }
}

/// Next line of the script, without its start. Nothing after it is read: that is the stream of the agent.
fn answer(input: &mut impl Read, left: &mut usize) -> Result<String, CopyError> {
    let mut line = Vec::new();
    loop {
        let mut byte = [0];
        match input.read(&mut byte) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e.into()),
            Ok(0) => return Err(CopyError::Ended),
            Ok(_) => {}
        }
        *left = left.checked_sub(1).ok_or(CopyError::Ended)?;
        if byte[0] != b'\n' {
            if line.len() < MAX_LINE {
                line.push(byte[0]);
            }
            continue;
        }
        let text = String::from_utf8_lossy(&line);
        if let Some(rest) = text.strip_prefix(PREFIX) {
            return Ok(rest.trim_end().to_owned());
        }
        line.clear();
    }
}

/// Header of a file in the Executable and Linkable Format (elf(5)).
struct Elf {
    wide: bool,
    little: bool,
    machine: u16,
}

impl Elf {
    fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.first_chunk::<4>() != Some(b"\x7fELF") {
            return None;
        }
        let wide = match bytes.get(4)? {
            1 => false,
            2 => true,
            _ => return None,
        };
        let little = match bytes.get(5)? {
            1 => true,
            2 => false,
            _ => return None,
        };
        let mut out = Self { wide, little, machine: 0 };
        out.machine = u16::try_from(out.number(bytes, 18, 2)?).ok()?;
        Some(out)
    }

    /// Unsigned number of this many bytes.
    fn number(&self, bytes: &[u8], at: usize, len: usize) -> Option<u64> {
        let field = bytes.get(at..at.checked_add(len)?)?;
        let add = |n: u64, byte: &u8| n << 8 | u64::from(*byte);
        Some(if self.little { field.iter().rev().fold(0, add) } else { field.iter().fold(0, add) })
    }

    /// Path in the segment `PT_INTERP`.
    fn interpreter(&self, bytes: &[u8]) -> Option<String> {
        const PT_INTERP: u64 = 3;
        // e_phoff, e_phentsize, e_phnum; p_offset, p_filesz.
        let (table, entry, count, offset, size, word) =
            if self.wide { (32, 54, 56, 8, 32, 8) } else { (28, 42, 44, 4, 16, 4) };
        let at = |at: usize, len: usize| usize::try_from(self.number(bytes, at, len)?).ok();
        let (table, entry, count) = (at(table, word)?, at(entry, 2)?, at(count, 2)?);
        let heads = (0..count).filter_map(|i| table.checked_add(i.checked_mul(entry)?));
        let head = heads.into_iter().find(|head| self.number(bytes, *head, 4) == Some(PT_INTERP))?;
        let (from, len) = (at(head.checked_add(offset)?, word)?, at(head.checked_add(size)?, word)?);
        let path = bytes.get(from..from.checked_add(len)?).unwrap_or_default();
        Some(escape(String::from_utf8_lossy(path).trim_end_matches('\0')).into_owned())
    }
}

/// A program that is no ELF file, for tests: a script.
#[cfg(test)]
pub(super) fn script_binary(text: &str) -> AgentBinary {
    let machines: &[&str] = &["x86_64", "aarch64", "i686", "s390x", "riscv64", "armv*"];
    AgentBinary { digest: Arc::default(), bytes: text.as_bytes().into(), machines, interpreter: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn script_is_the_same_in_every_login_shell() {
        let inner = SCRIPT.strip_prefix('\'').and_then(|s| s.strip_suffix('\'')).unwrap();
        // Quotes end the word; csh takes `!` and a line break within quotes, fish a backslash.
        assert!(!inner.contains(['\'', '!', '\n', '\\']), "{inner}");
    }

    #[test]
    fn own_program_is_an_elf_file_of_this_machine() {
        let own = AgentBinary::parse(std::fs::read("/proc/self/exe").unwrap()[..4096].to_vec()).unwrap();
        let machine = rustix::system::uname();
        assert!(own.machines.iter().any(|name| is_machine(name, &machine.machine().to_string_lossy())));
        if cfg!(target_env = "gnu") {
            assert!(own.interpreter().is_some_and(|path| path.contains("ld")), "{:?}", own.interpreter());
        }
        assert!(own.name().starts_with(concat!("sockscope-", env!("CARGO_PKG_VERSION"), "-")));
    }

    #[test]
    fn files_that_are_no_programs_are_refused() {
        let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
        elf.resize(64, 0);
        assert!(matches!(AgentBinary::parse(elf.clone()), Err(CopyError::UnknownMachine(0))));
        elf[18] = 62;
        assert!(AgentBinary::parse(elf.clone()).is_ok_and(|b| b.interpreter().is_none()));
        // A table of segments that is outside of the file.
        elf[32..40].fill(0xff);
        elf[56..58].fill(0xff);
        assert!(AgentBinary::parse(elf.clone()).is_ok_and(|b| b.interpreter().is_none()));
        for bytes in [&b"#!/bin/sh\n"[..], b"", b"\x7fELF", b"\x7fELF\x03\x01", &elf[..19]] {
            assert!(matches!(AgentBinary::parse(bytes.to_vec()), Err(CopyError::NotElf)), "{bytes:?}");
        }
    }

    #[test]
    fn answers_of_a_host_are_bounded_and_escaped() {
        let binary = script_binary("#!/bin/sh\n");
        let send = |answers: &str| {
            let mut sent = Vec::new();
            let result = binary.send(&mut answers.as_bytes(), &mut sent).map_err(|e| e.to_string());
            (result, String::from_utf8(sent).unwrap())
        };
        let (result, sent) =
            send("motd\nsockscope-copy machine x86_64\nsockscope-copy have\nsockscope-copy ready\nSsM1");
        assert_eq!(result, Ok(()));
        assert_eq!(sent, format!("{} {} 10\n", binary.name(), binary.digest()));
        let (_, sent) = send("sockscope-copy machine x86_64\nsockscope-copy want\n");
        assert!(sent.ends_with("10\n#!/bin/sh\n"));
        for (answers, want) in [
            ("sockscope-copy machine vax\n", "for x86_64, that host is vax"),
            ("sockscope-copy machine x86_64\nsockscope-copy refused \x1b[2Jno\n", "no"),
            ("sockscope-copy ready\n", "unexpected answer \"ready\""),
            ("sh: no\n", "the connection ended"),
            ("sockscope-copy machine x86_64\nsockscope-copy have\nsockscope-copy refused late\n", "late"),
        ] {
            let e = send(answers).0.unwrap_err();
            assert!(e.contains(want) && !e.contains('\x1b'), "{answers:?}: {e}");
        }
        assert!(send(&"x".repeat(MAX_ANSWER + 10)).0.is_err());
    }
}
