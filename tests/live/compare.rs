//! Listings compared with `ss` and `lsof`.

use super::rows::{self, Row};
use super::world::{World, addr, listen};
use crate::wait::until_ok;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::net::{SocketAddr, TcpStream};

/// Fails with the differences of two sets.
fn same<T: Ord + Debug>(ours: &BTreeSet<T>, theirs: &BTreeSet<T>, who: &str) -> Result<(), String> {
    if ours == theirs {
        return Ok(());
    }
    let list = |a: &BTreeSet<T>, b: &BTreeSet<T>| -> String {
        a.difference(b).fold(String::new(), |all, x| all + &format!("  {x:?}\n"))
    };
    Err(format!("only sockscope:\n{}only {who}:\n{}", list(ours, theirs), list(theirs, ours)))
}

/// Compares everything in the namespace with both programs, until they agree and the rows meet the condition: a last ACK
/// may be in flight, and timers change with it.
fn agree(wanted: impl Fn(&BTreeSet<Row>) -> Result<(), String>) -> Result<BTreeSet<Row>, String> {
    until_ok(|| {
        let ours = rows::ours(&[])?;
        same(&ours, &rows::ss()?, "ss")?;
        same(&rows::held(&ours), &rows::lsof()?, "lsof")?;
        wanted(&ours).map(|()| ours)
    })
}

pub(crate) fn check(ok: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if ok { Ok(()) } else { Err(what()) }
}

/// Three clients wait in the accept queue of a listener with a backlog of five.
pub(crate) fn listener_with_waiting_clients_has_its_queue_and_backlog() -> Result<(), String> {
    let mut w = World::default();
    let l = listen("127.0.0.1:7001", 5, false);
    for _ in 0..3 {
        w.streams.push(TcpStream::connect(addr("127.0.0.1:7001")).map_err(|e| e.to_string())?);
    }
    w.listeners.push(l);
    agree(|rows| {
        let l = rows.iter().find(|r| r.state == "LISTEN").ok_or("no listener")?;
        check((l.recv_q, l.send_q) == (3, 5), || format!("queue {l:?}"))
    })?;
    // The three queued connections have no owner yet, and the reason is shown.
    let waiting = rows::sockscope(&["list", "state:established", "lport:7001"])?;
    check(waiting.len() == 3, || format!("{waiting:?}"))?;
    for r in &waiting {
        check(r["owner_missing"] == "in the accept queue" && r["inode"].is_null(), || format!("{r}"))?;
    }
    Ok(())
}

/// One socket in each state and of each kind.
fn everything(w: &mut World) {
    let l4 = listen("127.0.0.1:7100", 16, false);
    let l6 = listen("[::1]:7101", 16, true);
    let dual = listen("[::]:7102", 16, false);
    w.established(&l4, None);
    w.established(&l6, None);
    w.established(&dual, Some(addr("127.0.0.1:7102")));
    w.established(&dual, Some(addr("[::1]:7102")));
    w.close_wait(&l4);
    w.fin_wait2(&l4);
    World::time_wait(&l4);
    World::time_wait(&l6);
    w.unread(&l4, 1234);
    w.syn_sent(7103);
    w.datagram("127.0.0.1:7104", None);
    w.datagram("[::]:7105", None);
    w.datagram("127.0.0.1:7106", Some("127.0.0.1:7104"));
    w.datagram("[::1]:7107", Some("[::1]:7105"));
    w.listeners.extend([l4, l6, dual]);
}

pub(crate) fn sockets_in_every_state_match_ss_and_lsof() -> Result<(), String> {
    let mut w = World::default();
    everything(&mut w);
    agree(|rows| {
        let states: BTreeSet<&str> = rows.iter().map(|r| r.state.as_str()).collect();
        let want: BTreeSet<&str> =
            ["LISTEN", "ESTABLISHED", "CLOSE_WAIT", "FIN_WAIT2", "TIME_WAIT", "SYN_SENT", "UNCONN"].into();
        same(&states, &want, "the test's list")?;
        check(rows.iter().any(|r| r.recv_q == 1234), || "no unread bytes".into())?;
        // The IPv4 client of the dual-stack listener is IPv4 at both ends.
        check(rows.iter().any(|r| r.local == "127.0.0.1:7102" && r.state == "ESTABLISHED"), || {
            format!("{rows:#?}")
        })
    })
    .map(drop)
}

pub(crate) fn listener_shared_by_three_processes_has_three_owners() -> Result<(), String> {
    let mut w = World::default();
    let l = listen("127.0.0.1:7200", 16, false);
    let pids = [u64::from(std::process::id()), u64::from(w.share(&l)), u64::from(w.share(&l))];
    w.listeners.push(l);
    let rows = agree(|_| Ok(()))?;
    let l = rows.iter().find(|r| r.local == "127.0.0.1:7200").ok_or("no listener")?;
    let owners: BTreeSet<u64> = l.owners.iter().map(|o| o.0).collect();
    same(&owners, &pids.into(), "the test")?;
    check(l.owners.iter().any(|o| o.0 == pids[1] && o.1 == 0), || format!("{l:?}"))?;
    for pid in pids {
        let by_pid = rows::sockscope(&["list", &format!("pid:{pid}"), "lport:7200"])?;
        check(by_pid.len() == 1, || format!("pid {pid}: {by_pid:?}"))?;
    }
    Ok(())
}

pub(crate) fn random_sockets_match_ss_and_lsof() -> Result<(), String> {
    // xorshift64: the same sequence every time, so failures are reproducible.
    let mut x = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |n: u64| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x % n
    };
    for round in 0..12 {
        let mut w = World::default();
        let base = 8000 + round * 50;
        let mut ports = Vec::new();
        for i in 0..=(random(6) as u16) {
            let at = match random(4) {
                0 => format!("127.0.0.{}:{}", 1 + random(9), base + i),
                1 => format!("[::1]:{}", base + i),
                2 => format!("[::]:{}", base + i),
                _ => format!("0.0.0.0:{}", base + i),
            };
            w.listeners.push(listen(&at, 1 + random(200) as i32, random(2) == 0));
            ports.push(base + i);
        }
        for _ in 0..random(40) {
            let l = w.listeners.swap_remove(random(w.listeners.len() as u64) as usize);
            let to = l.local_addr().map_err(|e| e.to_string())?;
            let to = match to {
                SocketAddr::V4(v4) if v4.ip().is_unspecified() => {
                    Some(addr(&format!("127.0.0.1:{}", v4.port())))
                }
                SocketAddr::V6(v6) if v6.ip().is_unspecified() => Some(addr(&format!("[::1]:{}", v6.port()))),
                _ => None,
            };
            match (to, random(6)) {
                (None, 0) => w.close_wait(&l),
                (None, 1) => w.fin_wait2(&l),
                (None, 2) => World::time_wait(&l),
                (None, 3) => w.unread(&l, random(5000) as usize + 1),
                (to, _) => w.established(&l, to),
            }
            w.listeners.push(l);
        }
        for i in 0..random(6) as u16 {
            match random(3) {
                0 => w.datagram(&format!("127.0.0.1:{}", base + 20 + i), None),
                1 => w.datagram(&format!("[::]:{}", base + 20 + i), None),
                _ => w.datagram(&format!("127.0.0.1:{}", base + 20 + i), Some("127.0.0.1:9")),
            };
        }
        for i in 0..random(4) as u16 {
            w.syn_sent(base + 40 + i);
        }
        agree(|_| Ok(())).map_err(|e| format!("round {round}: {e}"))?;
    }
    Ok(())
}

pub(crate) fn ended_process_is_no_owner() -> Result<(), String> {
    let mut w = World::default();
    let l = listen("127.0.0.1:7300", 16, false);
    let pid = u64::from(w.share(&l));
    w.listeners.push(l);
    let holds = |rows: &BTreeSet<Row>| rows.iter().any(|r| r.owners.iter().any(|o| o.0 == pid));
    check(holds(&agree(|_| Ok(()))?), || "the child does not hold the listener".into())?;
    for c in &mut w.children {
        c.kill().and_then(|()| c.wait().map(drop)).map_err(|e| e.to_string())?;
    }
    check(!holds(&agree(|_| Ok(()))?), || "a ghost of the child".into())
}
