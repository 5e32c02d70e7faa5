//! The page of the dashboard that answers why, over real sockets.

use super::world::{World, perl};
use crate::compare::check;
use crate::netns::sh;
use crate::wait::until;
use std::process::Command;

/// Perl of a client whose SYN waits for an answer; with a mark if it is not 0.
fn connecting(mark: u32) -> String {
    format!(
        "use Socket; use Fcntl; socket(my $s, AF_INET, SOCK_STREAM, 0) or die; setsockopt($s, 1, 36, pack('I', {mark})) or die; \
         fcntl($s, F_SETFL, O_NONBLOCK); connect($s, pack_sockaddr_in(80, inet_aton('10.7.0.2'))); sleep 600"
    )
}

/// The screen after keys, in `cl`.
fn screen(keys: &str) -> Result<String, String> {
    let out = Command::new("ip")
        .args(["netns", "exec", "cl", env!("CARGO_BIN_EXE_sockscope"), "screenshot", "--netns", "here"])
        .args(["--size", "120x40", "--lang", "en", "--keys", keys])
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .output()
        .map_err(|e| e.to_string())?;
    check(out.status.success(), || String::from_utf8_lossy(&out.stderr).into_owned())?;
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

fn has(keys: &str, texts: &[&str]) -> Result<(), String> {
    let got = screen(keys)?;
    let missing: Vec<&&str> = texts.iter().filter(|t| !got.contains(**t)).collect();
    check(missing.is_empty(), || format!("{keys}: no {missing:?} in\n{got}"))
}

pub(crate) fn dashboard_explains_a_waiting_connection_a_port_and_a_process() -> Result<(), String> {
    let _world = World::new()?;
    sh("ip netns exec sv nft 'add table ip f; add chain ip f i { type filter hook input priority 0; }; \
        add rule ip f i tcp dport 80 drop'")?;
    let client = perl("cl", &connecting(0))?;
    until("the SYN", || sh("ip netns exec cl ss -Htn state syn-sent").ok().filter(|t| !t.trim().is_empty()))?;
    has(
        "/state:syn-sent 10.7.0.2<enter>W",
        &["tcp 10.7.0.2:80", "times out: ", "drops it at input", "Allow it in a rule before this one"],
    )?;
    let listener = perl(
        "cl",
        "use IO::Socket::IP; IO::Socket::IP->new(Listen => 5, LocalHost => '127.0.0.1', LocalPort => 81) or die; \
         my $l = IO::Socket::IP->new(Listen => 5, LocalHost => '127.0.0.1', LocalPort => 82) or die; sleep 600",
    )?;
    until("the listener", || {
        sh("ip netns exec cl ss -Hlnt sport = :82").ok().filter(|t| !t.trim().is_empty())
    })?;
    has("2/local_port:82<enter>W", &["refused: ", "listens on 127.0.0.1:82 only"])?;
    // A group is asked about its first row.
    let pid = listener.0.id();
    has(&format!("3/pid:{pid}<enter>W"), &["no problem found: perl", "127.0.0.1:82"])?;
    drop((client, listener));
    Ok(())
}

/// The kernel routes by the mark of the socket, and so does the answer.
pub(crate) fn dashboard_asks_with_the_mark_of_the_socket() -> Result<(), String> {
    let _world = World::new()?;
    sh("ip -n cl rule add fwmark 7 lookup 77; ip -n cl route add default via 10.7.0.99 dev c0 table 77; \
        ip -n cl neigh add 10.7.0.99 lladdr 02:00:00:00:00:99 dev c0")?;
    let client = perl("cl", &connecting(7))?;
    until("the SYN", || sh("ip netns exec cl ss -Htn state syn-sent").ok().filter(|t| !t.trim().is_empty()))?;
    has("/state:syn-sent 10.7.0.2<enter>W", &["via 10.7.0.99 dev c0, table 77"])?;
    drop(client);
    Ok(())
}
