//! Units, containers and namespace names, compared with the engines.

use super::docker::Docker;
use super::world::{Outside, Program, check, rows, rows_of, run, sh, sockscope};
use crate::wait::{until, until_ok};
use std::process::Command;

/// The listener of a container and the connection of an outside client are in its namespace, with its process, under
/// the engine's name for it, in every table.
pub(crate) fn container_is_named_in_every_table(docker: &Docker) -> Result<(), String> {
    let web = docker.run("web", &["-p", "8080:80"], "httpd -f -p 80")?;
    let outside = Outside::new()?;
    let _client = outside.connect("203.0.113.1", 8080, 50000)?;
    let columns =
        "+unit,container,container_id,container_engine,image,pid,netns,local_addr,remote_addr,remote_port";
    let inside = until("the connection inside", || {
        rows(&["list", "state:established", "container:web", "-c", columns]).ok()?.first().cloned()
    })?;
    for (key, want) in [
        ("container", "web"),
        ("container_id", web.id.as_str()),
        ("container_engine", "docker"),
        ("image", docker.ask(&["inspect", "-f", "{{.Config.Image}}", "web"])?.as_str()),
        ("netns", "web"),
        ("local_addr", web.addr.as_str()),
        ("remote_addr", "203.0.113.5"),
    ] {
        check(inside[key] == want, || format!("{key} is {want}: {inside}"))?;
    }
    check(inside["remote_port"] == 50000, || inside.to_string())?;
    // By full id, part of the id, namespace and image.
    for filter in [
        format!("container:{}", web.id),
        format!("container:{}", &web.id[..12]),
        "ns:web".to_owned(),
        "image:box".to_owned(),
    ] {
        let found = rows(&["list", "state:listen", "lport:80", &filter, "-c", "pid"])?;
        check(found.len() == 1 && found[0]["pid"] == web.pid, || format!("{filter}: {found:?}"))?;
    }
    let listener = rows(&["list", "--netns", "web", "state:listen", "-c", "pid"])?;
    check(listener.len() == 1 && listener[0]["pid"] == web.pid, || format!("{listener:?}"))?;
    let port = rows(&["ports", "container:web", "-c", "local_port,image"])?;
    check(port.len() == 1 && port[0]["local_port"] == 80 && port[0]["image"] == "box", || {
        format!("{port:?}")
    })?;
    let process = rows(&["processes", "container:web", "-c", "pid,container_id"])?;
    let first = process.iter().find(|p| p["pid"] == web.pid).ok_or("its process")?;
    check(first["container_id"] == web.id.as_str(), || first.to_string())?;
    let groups = rows(&["processes", "container:web", "--group-by", "container"])?;
    check(groups.len() == 1, || format!("{groups:?}"))?;

    // The host is the peer of the container.
    let mut own = std::net::TcpStream::connect((web.addr.as_str(), 80)).map_err(|e| e.to_string())?;
    let _ = std::io::Write::flush(&mut own);
    let peer = until("the peer", || {
        let all = rows(&["peers", "container:web", "-c", "addr,container"]).ok()?;
        all.iter().find(|p| p["addr"] == web.addr.as_str()).cloned()
    })?;
    check(peer["container"] == "web", || peer.to_string())?;

    // Without querying the engine, the short id is shown.
    let unnamed = rows(&["list", "--no-engine", "state:listen", "lport:80", "-c", "container,image,netns"])?;
    check(unnamed[0]["container"] == web.id[..12] && unnamed[0]["netns"] == web.id[..12], || {
        format!("{unnamed:?}")
    })?;
    check(unnamed[0]["image"].is_null(), || format!("{unnamed:?}"))
}

/// A non-root user sees the container's id (world-readable), not its name, and the reason.
pub(crate) fn ordinary_user_sees_ids_and_what_is_missing(docker: &Docker) -> Result<(), String> {
    let web = docker.run("web", &["-p", "8080:80"], "httpd -f -p 80")?;
    let other = || {
        let mut command = Command::new("setpriv");
        command.args([
            "--reuid",
            "65534",
            "--regid",
            "65534",
            "--clear-groups",
            env!("CARGO_BIN_EXE_sockscope"),
        ]);
        command
    };
    let seen =
        rows_of(other().args(["processes", &format!("container:{}", web.id), "-c", "pid,container,image"]))?;
    let first = seen.iter().find(|p| p["pid"] == web.pid).ok_or_else(|| format!("its process: {seen:?}"))?;
    check(first["container"] == web.id[..12] && first["image"].is_null(), || first.to_string())?;
    // The target of the published port is visible too: in the command line of the proxy.
    let published =
        rows_of(other().args(["forwards", "host_port:8080", "-c", "target,container,target_netns"]))?;
    let to = format!("{}:80", web.addr);
    let right = |r: &serde_json::Value| {
        r["target"] == to.as_str() && r["container"] == web.id[..12] && r["target_netns"] == web.id[..12]
    };
    check(!published.is_empty() && published.iter().all(right), || format!("{published:#?}"))?;
    // Missing data is reported on a terminal only.
    let report = |args: &str| {
        let command = format!("{:?} {args}", other()).replace('"', "");
        run(Command::new("script").args(["-qec", &command, "/dev/null"]))
    };
    let output = report("processes -c container")?;
    check(output.contains("container names") && output.contains("docker.sock"), || output.clone())?;
    // Its namespace is listed with the reason that it was not entered.
    let output = report("list")?;
    check(output.contains("network namespaces") && output.contains(&web.id[..12]), || output.clone())?;
    // A script that requests an inaccessible namespace gets an error, not an empty result.
    sh("ip netns add shut")?;
    let asked = other().args(["list", "--netns", "shut"]).output().map_err(|e| e.to_string())?;
    let why = String::from_utf8_lossy(&asked.stderr).into_owned();
    check(
        asked.status.code() == Some(1) && why.contains("network namespaces: not accessible: shut: "),
        || why.clone(),
    )?;
    sh("ip netns del shut")?;
    // The number of tracked connections is known, the connections are not.
    let outside = Outside::new()?;
    let _client = outside.connect("203.0.113.1", 8080, 0)?;
    let count = || sh("cat /proc/sys/net/netfilter/nf_conntrack_count");
    until("a tracked connection", || count().ok().filter(|n| n.trim() != "0"))?;
    let output = report("forwards")?;
    let n = count()?;
    let words = output.split("conntrack entries: not permitted: it needs CAP_NET_ADMIN; there are ").nth(1);
    let number = |s: &str| s.lines().next()?.trim().parse::<u64>().ok();
    // The number changes in the meantime.
    let near = words.and_then(number).zip(number(&n)).is_some_and(|(a, b)| a > 0 && a.abs_diff(b) <= 5);
    check(near, || format!("{n}: {output}"))
}

/// A socket in the cgroup of a unit belongs to that unit, for a user who cannot see the process.
pub(crate) fn hidden_process_has_its_unit(_: &Docker) -> Result<(), String> {
    let root = sh("awk '$3 == \"cgroup2\" { print $2; exit }' /proc/self/mounts")?;
    // Cgroups are machine-wide: another run may be active.
    let slice = sh(&format!("mktemp -d --suffix=.slice {}/sockscope-XXXXXX", root.trim()))?;
    let slice = slice.trim();
    let group = format!("{slice}/hidden.service");
    sh(&format!("chmod 755 {slice} && mkdir {group}"))?;
    let listen = format!(
        "echo $$ > {group}/cgroup.procs && exec perl -e 'use IO::Socket::INET; \
         my $l = IO::Socket::INET->new(Listen => 5, LocalAddr => \"127.0.0.1:7971\") or die; sleep 600'"
    );
    let program = Program::start(Command::new("sh").args(["-c", &listen]))?;
    let ask =
        ["list", "unit:hidden.service", "state:listen", "-c", "unit,slice,pid,local_port,owner_missing"];
    let checked = until("the listener", || {
        let mut command = Command::new("setpriv");
        command.args([
            "--reuid",
            "65534",
            "--regid",
            "65534",
            "--clear-groups",
            env!("CARGO_BIN_EXE_sockscope"),
        ]);
        rows_of(command.args(ask)).ok()?.first().cloned()
    })
    .and_then(|row| {
        let right = row["unit"] == "hidden.service"
            && slice.ends_with(&format!("/{}", row["slice"].as_str().unwrap_or("-")));
        check(right && row["local_port"] == 7971 && row["pid"].is_null(), || row.to_string())
    });
    drop(program);
    let removed = until("the group to be empty", || {
        sh(&format!("g={group}; for d in $g ${{g%/*}}; do [ ! -d $d ] || rmdir $d; done")).ok()
    });
    checked.and(removed.map(|_| ()))
}

/// A container that stops while watched disappears with its namespace, without an error.
pub(crate) fn container_that_stops_while_watched_is_gone(docker: &Docker) -> Result<(), String> {
    let web = docker.run("brief", &[], "httpd -f -p 80")?;
    until("the listener", || rows(&["list", "ns:brief", "state:listen"]).ok().filter(|r| r.len() == 1))?;
    let log = "/run/watch.ndjson";
    let out = std::fs::File::create(log).map_err(|e| e.to_string())?;
    let watch = sockscope()
        .args([
            "list",
            "state:listen",
            "lport:80",
            "-c",
            "+container,netns",
            "--format",
            "ndjson",
            "--watch=200ms",
        ])
        .stdout(out)
        .spawn()
        .map_err(|e| e.to_string())?;
    let _watch = Program(watch);
    let next = |event: &str| {
        until(&format!("{event} in {:?}", std::fs::read_to_string(log)), || {
            let text = std::fs::read_to_string(log).ok()?;
            let rows = text.lines().filter_map(|l| serde_json::from_str::<serde_json::Value>(l).ok());
            rows.into_iter().find(|r| r["event"] == event)
        })
    };
    let there = next("present")?;
    check(there["after"]["container"] == "brief" && there["after"]["netns"] == "brief", || {
        there.to_string()
    })?;
    drop(web);
    let gone = next("closed")?;
    check(gone["before"]["container"] == "brief", || gone.to_string())?;
    check(rows(&["list", "ns:brief"])?.is_empty(), || "it is still there".to_owned())
}

/// A namespace created inside a container's namespace is separate.
pub(crate) fn namespace_made_in_a_container_is_its_own(docker: &Docker) -> Result<(), String> {
    let web = docker.run("outer", &[], "httpd -f -p 80")?;
    let pid = web.pid.to_string();
    let inner = "ip link set lo up; exec perl -e 'use IO::Socket::INET; \
                 my $l = IO::Socket::INET->new(Listen => 5, LocalAddr => \"127.0.0.1:80\") or die; sleep 600'";
    let args = ["-t", &pid, "-n", "unshare", "--net", "sh", "-c", inner];
    let program = Program::start(Command::new("nsenter").args(args))?;
    until_ok(|| {
        let found = rows(&["list", "state:listen", "lport:80", "-c", "+pid,netns,container"])?;
        check(found.len() == 2, || format!("{found:?}"))?;
        let by = |pid: u32| found.iter().find(|r| r["pid"] == pid).ok_or_else(|| format!("{pid}: {found:?}"));
        check(by(web.pid)?["netns"] == "outer", || format!("{found:?}"))?;
        let inner = by(program.0.id())?;
        // A shell until it executes the listener.
        check(inner["netns"] == format!("perl {}", program.0.id()) && inner["container"].is_null(), || {
            inner.to_string()
        })
    })
}

/// `/run/netns` names a namespace without a process; Docker's mounts give access to one but no name.
pub(crate) fn mounted_namespaces_have_their_names(docker: &Docker) -> Result<(), String> {
    let web = docker.run("web", &[], "httpd -f -p 80")?;
    let mounts = run(Command::new("ls").arg("/run/docker/netns"))?;
    check(!mounts.trim().is_empty(), || "no mounts of Docker".to_owned())?;
    sh("ip netns add empty && ip -n empty link set lo up")?;
    let limits = rows(&["list", "--netns", "empty", "--count"]).err().unwrap_or_default();
    check(!limits.contains("no network namespace"), || limits)?;
    until_ok(|| {
        let listener = rows(&["list", "state:listen", "lport:80", "-c", "netns,pid"])?;
        let right = listener.len() == 1 && listener[0]["netns"] == "web" && listener[0]["pid"] == web.pid;
        check(right, || format!("{listener:?}"))
    })?;
    // Mounted twice, it is found under either name.
    sh("ip netns add twice && touch /run/netns/again && mount --bind /run/netns/twice /run/netns/again")?;
    let _server = Program::start(
        Command::new("ip").args(["netns", "exec", "again", "busybox", "httpd", "-f", "-p", "81"]),
    )?;
    for name in ["twice", "again"] {
        until(name, || rows(&["list", "--netns", name, "lport:81"]).ok().filter(|r| r.len() == 1))?;
    }
    sh("umount /run/netns/again && rm /run/netns/again && ip netns del twice")?;
    sh("ip netns del empty").map(|_| ())
}
