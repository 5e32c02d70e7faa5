//! BPF programs that are attached to the cgroup of a client.

use super::world::{World, accepts, ask, perl};
use crate::compare::check;
use crate::netns::sh;
use crate::wait::until;
use serde_json::Value;
use std::process::{Command, Stdio};

/// Python that loads a program, attaches it to a cgroup of its own, joins a child of that, and executes a command in `cl`:
/// arguments are program type, attach type, instructions in hexadecimal, and the command.
const ATTACH: &str = r"
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
number = {'x86_64': 321, 'aarch64': 280}[os.uname().machine]
def bpf(command, attr):
    buffer = ctypes.create_string_buffer(attr, 128)
    result = libc.syscall(number, command, buffer, 128)
    if result < 0: sys.exit('bpf %d: %s' % (command, os.strerror(ctypes.get_errno())))
    return result
kind, attach, code = int(sys.argv[1]), int(sys.argv[2]), bytes.fromhex(sys.argv[3])
mounts = [l.split() for l in open('/proc/1/mountinfo')]
root = '/proc/1/root' + [m[4] for m in mounts if m[m.index('-') + 1] == 'cgroup2'][0]
group = '%s/sockscope-why-%d' % (root, os.getpid())
os.makedirs(group + '/leaf')
child = os.fork()
if child:
    status = os.waitpid(child, 0)[1]
    os.rmdir(group + '/leaf'); os.rmdir(group)
    sys.exit(os.waitstatus_to_exitcode(status))
text, licence = ctypes.create_string_buffer(code), ctypes.create_string_buffer(b'GPL')
fd = bpf(5, struct.pack('=IIQQIIQII16sII', kind, len(code) // 8, ctypes.addressof(text), ctypes.addressof(licence),
    0, 0, 0, 0, 0, b'sockscope_why', 0, attach))
directory = os.open(group, os.O_RDONLY)
bpf(8, struct.pack('=IIII', directory, fd, attach, 0))
open(group + '/leaf/cgroup.procs', 'w').write(str(os.getpid()))
os.execvp('ip', ['ip', 'netns', 'exec', 'cl'] + sys.argv[4:])
";

/// `r0 = 0`, `r0 = 1`, `exit`, and `r0 = the first word of the context; r0 &= 1`, which is 0 for IPv4.
const REFUSES: &str = "b700000000000000 9500000000000000";
const PERMITS: &str = "b700000001000000 9500000000000000";
const BY_FAMILY: &str = "6110000000000000 5700000001000000 9500000000000000";

/// A client that prints the errno of its connect, 110 without an answer.
const CONNECT: &str = "use Socket; use Fcntl; use Errno; socket(my $s, AF_INET, SOCK_STREAM, 0) or die; fcntl($s, F_SETFL, O_NONBLOCK);
    if (!connect($s, pack_sockaddr_in(80, inet_aton('10.7.0.2')))) { if (!$!{EINPROGRESS}) { print $!+0; exit }
      my $w = ''; vec($w, fileno($s), 1) = 1; if (!select(undef, $w, undef, 1)) { print 110; exit }
      print unpack('I', getsockopt($s, SOL_SOCKET, SO_ERROR)); exit } print 0";

fn run(kind: u32, attach: u32, code: &str, command: &[&str]) -> Result<String, String> {
    let out = Command::new("python3")
        .args(["-c", ATTACH, &kind.to_string(), &attach.to_string(), &code.replace(' ', "")])
        .args(command)
        .output()
        .map_err(|e| e.to_string())?;
    let error = String::from_utf8_lossy(&out.stderr);
    check(error.is_empty(), || format!("{command:?}: {error}"))?;
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

pub(crate) fn bpf_programs_of_a_cgroup_are_named() -> Result<(), String> {
    const SOCK_ADDR: (u32, u32) = (18, 10);
    const EGRESS: (u32, u32) = (8, 1);
    const INGRESS: (u32, u32) = (8, 0);
    let _world = World::new()?;
    let _server = perl("sv", &accepts("0.0.0.0", 80))?;
    until("the listener", || {
        sh("ip netns exec sv ss -Hlnt sport = :80").ok().filter(|t| !t.trim().is_empty())
    })?;
    let mut wrong = Vec::new();
    for (name, (kind, attach), code, args, errno, cause, certainty) in [
        ("connect refused", SOCK_ADDR, REFUSES, "", "1", Some("cgroup-bpf"), "certain"),
        ("connect permitted", SOCK_ADDR, PERMITS, "", "0", None, "likely"),
        ("by family", SOCK_ADDR, BY_FAMILY, "", "1", None, "unknown"),
        (
            "by family, with a real connect",
            SOCK_ADDR,
            BY_FAMILY,
            "--probe",
            "1",
            Some("cgroup-bpf"),
            "likely",
        ),
        ("egress dropped", EGRESS, REFUSES, "", "110", Some("cgroup-bpf"), "certain"),
        ("egress permitted", EGRESS, PERMITS, "", "0", None, "likely"),
        ("ingress dropped", INGRESS, REFUSES, "", "110", Some("cgroup-bpf"), "certain"),
    ] {
        let got = run(kind, attach, code, &["perl", "-e", CONNECT])?;
        if got != errno {
            wrong.push(format!("{name}: the real connect: errno {got}, not {errno}"));
        }
        let mut command = vec![env!("CARGO_BIN_EXE_sockscope"), "why", "10.7.0.2:80", "-j"];
        command.extend(Some(args).filter(|a| !a.is_empty()));
        let answer: Value =
            serde_json::from_str(&run(kind, attach, code, &command)?).map_err(|e| e.to_string())?;
        let answer = &answer["answers"][0];
        let steps = answer["steps"].as_array().cloned().unwrap_or_default();
        let step = steps.iter().find(|s| s["step"] == "cgroup").cloned().unwrap_or_default();
        let evidence = step["evidence"].as_str().unwrap_or("");
        let named = evidence.contains("sockscope_why (id ") && evidence.contains("of cgroup /sockscope-why-");
        if answer["cause"].as_str() != cause || answer["certainty"] != certainty || !named {
            wrong.push(format!("{name}: {answer:#}"));
        }
    }
    check(wrong.is_empty(), || wrong.join("\n"))
}

/// A packet that a program of the cgroup of the server drops never reaches its listener.
pub(crate) fn bpf_programs_of_the_server_are_named() -> Result<(), String> {
    let _world = World::new()?;
    for (hook, attach) in [("cgroup_inet_ingress", "0"), ("cgroup_inet_egress", "1")] {
        let mut server = Command::new("python3")
            .args(["-c", ATTACH, "8", attach, &REFUSES.replace(' ', ""), "ip", "netns", "exec", "sv"])
            .args([
                "perl",
                "-e",
                &accepts("0.0.0.0", 80).replace("while (my $c = $l->accept) { push @k, $c }", "<STDIN>"),
            ])
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|e| e.to_string())?;
        until("the listener", || {
            sh("ip netns exec sv ss -Hlnt sport = :80").ok().filter(|t| !t.trim().is_empty())
        })?;
        let got = sh(&format!("ip netns exec cl perl -e \"{}\"", CONNECT.replace('$', "\\$")))?;
        for target in ["10.7.0.2:80", ":80 --netns sv"] {
            let answer = ask(target)?;
            let evidence = answer["answer"].as_str().unwrap_or("");
            check(answer["cause"] == "cgroup-bpf" && evidence.contains(hook), || {
                format!("{target}, {hook}: {answer:#}")
            })?;
            check(evidence.starts_with("times out"), || format!("{target}, {hook}: {answer:#}"))?;
        }
        check(got == "110", || format!("{hook}: the real connect: errno {got}"))?;
        // Its listener exits at the end of its input.
        drop(server.stdin.take());
        server.wait().map_err(|e| e.to_string())?;
    }
    Ok(())
}
