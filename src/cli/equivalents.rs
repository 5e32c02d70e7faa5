//! Equivalents of command lines and flags of `ss(8)`, `netstat(8)` and `lsof(8)`.

/// A command line of another tool and the one that prints the same rows here.
#[derive(Clone, Copy, Debug)]
pub struct Habit {
    /// As typed for the other tool.
    pub theirs: &'static str,
    /// The same rows here, without the name of the program.
    pub ours: &'static str,
}

const fn habit(theirs: &'static str, ours: &'static str) -> Habit {
    Habit { theirs, ours }
}

/// Equivalents of common command lines. Help, manual page and README show them; `tests/live` compares the rows.
pub const HABITS: [Habit; 15] = [
    habit("ss -tulpn", "list -tulpn"),
    habit("ss -t", "list -t"),
    habit("ss -tan state established", "list -tan state established"),
    habit("ss -tan '( sport = :443 )'", "list -tan '( sport = :443 )'"),
    habit("ss -xl", "list -xl"),
    habit("ss -wan", "list --raw -an"),
    habit("ss -tin", "list -tin"),
    habit("ss -4 -tanmo", "list -4 -tanmo"),
    habit("netstat -tulpn", "list -tulpn"),
    habit("netstat -tan", "list -tan"),
    habit("netstat -an | grep :8080", "list :8080"),
    habit("lsof -nP -i :8080", "list -n :8080"),
    habit("lsof -nP -iTCP -sTCP:LISTEN", "list -tln"),
    habit("lsof -nP -a -p 812 -i", "list -n pid:812"),
    habit("lsof -nP -i @127.0.0.9", "list -n addr:127.0.0.9"),
];

/// The equivalents, one line each.
pub fn lines() -> impl Iterator<Item = String> {
    HABITS.iter().map(|h| format!("{:31} sockscope {}", h.theirs, h.ours))
}

/// Flags of `ss` with another meaning here, one line each.
pub fn differences() -> impl Iterator<Item = String> {
    CLASHES.iter().filter_map(|c| Some(format!("-{} {}; {}", c.letter, c.here?, c.instead)))
}

/// A letter of another tool that is no flag here, or another one.
pub(super) struct Clash {
    /// The letter.
    pub(super) letter: char,
    /// Long name in `ss`.
    pub(super) long: &'static str,
    /// Meaning here; `None`: none.
    pub(super) here: Option<&'static str>,
    /// The equivalents.
    pub(super) instead: &'static str,
}

const fn clash(letter: char, long: &'static str, here: Option<&'static str>, instead: &'static str) -> Clash {
    Clash { letter, long, here, instead }
}

/// Letters with another meaning, and those without one.
pub(super) const CLASHES: [Clash; 20] = [
    clash('i', "", Some("takes an interval, such as 2s"), "for ss -i: --info; for lsof -i: sockscope :8080"),
    clash(
        's',
        "summary",
        Some("takes a column to sort by"),
        "for ss -s and netstat -s: sockscope limits, or list -g state; for lsof -s: state:listen",
    ),
    clash('w', "", Some("repeats the listing (--watch)"), "for ss -w and netstat -w: --raw"),
    clash('c', "", Some("takes columns"), "for netstat -c: --watch; for lsof -c: sockscope NAME"),
    clash(
        'f',
        "family",
        Some("takes an output format"),
        "for ss -f: family:inet; for lsof -F: --json; for fuser: sockscope who PORT",
    ),
    clash('g', "", Some("takes a column to group by"), "for netstat -g: ip maddress"),
    clash('K', "kill", None, "for ss -K: sockscope kill FILTER --close"),
    clash('E', "events", None, "for ss -E: sockscope list --watch --format ndjson"),
    clash('N', "net", None, "for ss -N: --netns NAME"),
    clash('A', "query", None, "for ss -A: proto:tcp,udp"),
    clash('M', "mptcp", None, "for ss -M: proto:mptcp"),
    clash('S', "sctp", None, "for ss -S: proto:sctp"),
    clash('d', "dccp", None, "for ss -d: proto:dccp"),
    clash('0', "packet", None, "for ss -0: proto:packet"),
    clash('T', "threads", None, "for ss -T: --columns +tids"),
    clash('Z', "context", None, "for ss -Z: --columns +proc_ctx"),
    clash('z', "contexts", None, "for ss -z: --columns +proc_ctx,sock_ctx"),
    clash('b', "bpf", None, "for ss -b: --columns +bpf_filter"),
    clash('B', "bound-inactive", None, "for ss -B: state:closed"),
    clash('F', "filter", None, "for ss -F: a saved filter, @NAME; for lsof -F: --json"),
];
