//! Source of events by what the user may do: the next one in order, with the reason.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Refuses `bpf(2)` and starts a program.
const REFUSE_BPF: &str = "import ctypes,os,platform,struct,sys
number={'x86_64':321,'aarch64':280}[platform.machine()]
code=b''.join(struct.pack('HBBI',*i) for i in [(0x20,0,0,0),(0x15,0,1,number),(6,0,0,0x50001),(6,0,0,0x7fff0000)])
text=ctypes.create_string_buffer(code)
class Filter(ctypes.Structure): _fields_=[('len',ctypes.c_ushort),('at',ctypes.c_void_p)]
libc=ctypes.CDLL(None,use_errno=True)
assert libc.prctl(38,1,0,0,0)==0
assert libc.prctl(22,2,ctypes.byref(Filter(4,ctypes.addressof(text))),0,0)==0,ctypes.get_errno()
os.execvp(sys.argv[1],sys.argv[1:])
";

/// First line on standard error of `sockscope events` started by this program with its arguments.
fn source_line(before: &[&str], method: &str) -> Result<String, String> {
    let own = [env!("CARGO_BIN_EXE_sockscope"), "events", "--for", "0.1s", "--events", method];
    let command = [before, &own].concat();
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let mut lines = BufReader::new(child.stderr.take().ok_or("stderr")?).lines();
    let first = lines.next().ok_or_else(|| format!("{command:?} printed nothing"))?;
    lines.for_each(drop);
    child.wait().map_err(|e| e.to_string())?;
    first.map_err(|e| e.to_string())
}

/// Both capabilities are needed; one alone, none, or those of another user namespace are named as the reason.
pub(crate) fn source_follows_the_capabilities() -> Result<(), String> {
    let with = |caps: &str| {
        let sets = format!("--inh-caps=-all{caps}");
        let ambient = format!("--ambient-caps=-all{caps}");
        let user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"].map(str::to_owned);
        [user.to_vec(), vec![sets, ambient]].concat()
    };
    let bpf = "events by bpf: connects, accepts, ";
    let missing = "; bpf: requires CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN";
    for (caps, is_bpf) in
        [("", false), (",+bpf", false), (",+perfmon", false), (",+bpf,+perfmon", true), (",+sys_admin", true)]
    {
        let before = with(caps);
        let before: Vec<&str> = before.iter().map(String::as_str).collect();
        let line = source_line(&before, "auto")?;
        if is_bpf {
            assert!(line.contains(bpf) && !line.contains("; bpf: "), "{caps}: {line}");
        } else {
            assert!(line.contains("events by sock_diag: only closes, "), "{caps}: {line}");
            assert!(line.ends_with(missing), "{caps}: {line}");
            let line = source_line(&before, "bpf")?;
            assert!(line.contains("no source of events: bpf: requires "), "{caps}: {line}");
        }
    }
    let line = source_line(&["unshare", "--user", "--map-root-user"], "auto")?;
    assert!(line.contains("events by sock_diag: "), "{line}");
    assert!(line.ends_with("; bpf: not in the initial user namespace"), "{line}");
    Ok(())
}

/// `bpf(2)` refused, or no BTF.
pub(crate) fn source_without_bpf_is_sock_diag_with_the_reason() -> Result<(), String> {
    let line = source_line(&["python3", "-c", REFUSE_BPF], "auto")?;
    assert!(line.contains("events by sock_diag: ") && line.contains("; bpf: "), "{line}");
    let no_btf =
        ["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /sys/kernel/btf && exec \"$@\"", "sh"];
    let line = source_line(&no_btf, "auto")?;
    assert!(line.contains("; bpf: no BTF: /sys/kernel/btf/vmlinux: "), "{line}");
    Ok(())
}
