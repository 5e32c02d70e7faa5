//! Completion in real shells.

// The type of a case.
#![allow(clippy::unnecessary_wraps)]

use std::path::Path;
use std::process::Command;

/// Completions of bash at the end of each line.
fn offered(lines: &[&str]) -> Vec<Vec<String>> {
    let program = Path::new(env!("CARGO_BIN_EXE_sockscope"));
    let script = "set -e; source <(sockscope completions bash); complete -p sockscope >/dev/null\n\
        for line in \"$@\"; do COMP_LINE=$line; COMP_POINT=${#line}; COMP_TYPE=9; COMPREPLY=(); _sockscope\n\
        printf '%s\\t' \"${COMPREPLY[@]}\"; echo; done";
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let out =
        Command::new("bash").args(["-c", script, "bash"]).args(lines).env("PATH", path).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    text.lines().map(|l| l.split('\t').filter(|w| !w.is_empty()).map(str::to_owned).collect()).collect()
}

pub(crate) fn bash_completes_values() -> Result<(), String> {
    let own = std::fs::read_to_string("/proc/self/comm").unwrap();
    let process = format!("sockscope list process={}", &own[..4]);
    let got = offered(&[
        "sockscope proce",
        "sockscope list --for",
        "sockscope list --format nd",
        "sockscope list state:close-",
        "sockscope list --columns proto,rtt_",
        "sockscope processes --sort fds_p",
        "sockscope list --group-by sta",
        &process,
    ]);
    assert!(got[0].contains(&"processes".to_owned()), "{got:?}");
    assert_eq!(got[1], ["--format"]);
    assert_eq!(got[2], ["ndjson"]);
    assert_eq!(got[3], ["close-wait"], "readline replaces what follows the colon");
    assert_eq!(got[4], ["proto,rtt_us"]);
    assert!(got[5].contains(&"fds_pct".to_owned()), "{got:?}");
    assert!(got[6].contains(&"state".to_owned()), "{got:?}");
    assert!(got[7].iter().any(|w| own.trim().starts_with(w.trim_matches('"'))), "{got:?}");
    Ok(())
}

pub(crate) fn fish_completes_values() -> Result<(), String> {
    let program = Path::new(env!("CARGO_BIN_EXE_sockscope"));
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let offered = |line: &str| -> String {
        let script = format!("sockscope completions fish | source; complete -C '{line}'");
        let out =
            Command::new("fish").args(["--no-config", "-c", &script]).env("PATH", &path).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    assert!(offered("sockscope proce").starts_with("processes\t"));
    assert!(offered("sockscope list --format nd").starts_with("ndjson\t"));
    assert!(offered("sockscope list state:close-").starts_with("state:close-wait\t"));
    assert!(offered("sockscope list --columns proto,rtt_").starts_with("proto,rtt_us\t"));
    Ok(())
}

/// zsh loads the script and registers the completion.
pub(crate) fn zsh_loads_the_completion() -> Result<(), String> {
    let program = Path::new(env!("CARGO_BIN_EXE_sockscope"));
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let script = "autoload -U compinit && compinit -u -D && source <(sockscope completions zsh) && \
        print -r -- ${functions[$_comps[sockscope]]:+known}";
    let out = Command::new("zsh").args(["-f", "-c", script]).env("PATH", path).output().unwrap();
    let errors = String::from_utf8_lossy(&out.stderr);
    assert_eq!((String::from_utf8_lossy(&out.stdout).trim(), errors.as_ref()), ("known", ""));
    Ok(())
}
