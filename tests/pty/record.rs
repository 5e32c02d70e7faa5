//! The recording that is written beside the dashboard: its beginning and end, and a file system without space.

use super::namespaces::isolated;
use super::screen::Screen;
use super::wait::until;
use sockscope::frame::Frames;
use sockscope::recording::{Moments, Recording};
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Directory of a file system that has this size, within the namespace of the test.
fn file_system(name: &str, size: &str) -> PathBuf {
    let dir = Path::new("/run").join(name);
    fs::create_dir(&dir).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", size, "none"]).arg(&dir).status();
    assert!(mounted.unwrap().success());
    dir
}

fn recording_file(dir: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(dir).unwrap().flatten().map(|e| e.path());
    files.into_iter().find(|p| p.extension().is_some_and(|e| e == "sscope"))
}

/// Number of samples of the recording, all of which can be read; 0 without one.
fn samples(dir: &Path) -> usize {
    let Ok(mut recording) = Recording::open(dir) else { return 0 };
    let all = recording.len();
    (0..all).for_each(|n| assert!(recording.sample(n).is_ok(), "sample {n}"));
    all
}

#[test]
fn dashboard_records_until_its_key_and_again() {
    isolated(|| {
        let dir = file_system("kept", "size=64m");
        let path = dir.to_str().unwrap();
        let l = TcpListener::bind("127.0.0.1:7611").unwrap();
        let mut s = Screen::sockscope(120, 30, &["--interval", "200ms", &format!("--record={path}")], &[]);
        s.until("the listener, recorded", |t| t.contains("127.0.0.1:7611") && t.contains(" rec "));
        until("samples", || (samples(&dir) >= 3).then_some(())).unwrap();
        s.keys("\x14");
        s.until("the end", |t| t.contains("recording ended") && !t.contains(" rec "));
        let kept = samples(&dir);
        let list = Command::new(env!("CARGO_BIN_EXE_sockscope"))
            .args(["list", "--from", path, "lport:7611", "-f", "csv", "-c", "local"])
            .output()
            .unwrap();
        assert!(String::from_utf8_lossy(&list.stdout).contains("127.0.0.1:7611"), "{list:?}");
        // What is live continues, and the same key begins again where the file ended.
        drop(l);
        s.until("the listener is closed", |t| t.contains(" live ") && !t.contains("127.0.0.1:7611  "));
        assert_eq!(samples(&dir), kept);
        s.keys("\x14");
        s.until("recorded again", |t| t.contains(" rec "));
        until("samples", || (samples(&dir) > kept).then_some(())).unwrap();
        s.keys("q");
        assert_eq!(s.ends(), 0);
        s.is_restored();
        let mut frames = Frames::new(File::open(recording_file(&dir).unwrap()).unwrap());
        while frames.sample().unwrap().is_some() {}
        assert!(frames.is_closed() && frames.skipped().bytes == 0, "{:?}", frames.skipped());
    });
}

#[test]
fn full_file_system_pauses_the_recording_and_not_the_dashboard() {
    isolated(|| {
        let dir = file_system("small", "size=1m");
        let filler = dir.join("filler");
        fs::write(&filler, vec![0; 1 << 20]).unwrap();
        let path = dir.to_str().unwrap();
        let mut s = Screen::sockscope(120, 30, &["--interval", "200ms", &format!("--record={path}")], &[]);
        s.shows("recording paused: 0% of the file system is free, below 5%; no older file to remove");
        s.until("the header", |t| t.contains("rec paused") && t.contains(" live "));
        // Polls continue.
        let l = TcpListener::bind("127.0.0.1:7612").unwrap();
        s.shows("127.0.0.1:7612");
        assert_eq!(samples(&dir), 0);
        fs::remove_file(&filler).unwrap();
        s.until("recorded again", |t| t.contains("recording again") && !t.contains("rec paused"));
        until("samples", || (samples(&dir) >= 2).then_some(())).unwrap();
        s.keys("\x14");
        s.until("the end", |t| t.contains("recording ended"));
        drop(l);
        s.keys("q");
        assert_eq!(s.ends(), 0);
        s.is_restored();
    });
}

/// A directory whose name is a title of the terminal, the reverse direction of writing, and wide characters.
const HOSTILE: &str = "\u{1b}]0;title\u{7}\u{202e}宽宽";

/// Without privileges, with a hostile directory, from recording to the past and its differences.
#[test]
fn ordinary_user_records_and_goes_back_on_a_small_screen() {
    isolated(|| {
        // Others are not mapped in the namespace of an ordinary user, who is one already.
        let is_root = fs::read_to_string("/proc/self/uid_map").unwrap().contains("4294967295");
        let program = Path::new("/run/sockscope");
        fs::copy(env!("CARGO_BIN_EXE_sockscope"), program).unwrap();
        let l = TcpListener::bind("127.0.0.1:7613").unwrap();
        for (n, (cols, rows)) in [(20, 5), (60, 15), (80, 24)].into_iter().enumerate() {
            let at = file_system(&format!("home{n}"), "size=16m,mode=1777").join(HOSTILE);
            let flag = format!("--record={}", at.display());
            let mut args = vec!["--interval", "200ms", "--config=/dev/null", &flag];
            let mut s = if is_root {
                let mut all = vec!["--reuid=65534", "--regid=65534", "--clear-groups", "--"];
                all.push(program.to_str().unwrap());
                all.append(&mut args);
                Screen::start(Path::new("setpriv"), cols, rows, &all, &[])
            } else {
                Screen::start(program, cols, rows, &args, &[])
            };
            until("samples", || (at.is_dir() && samples(&at) >= 3).then_some(())).unwrap();
            // Back, a mark, differences at another moment, their details and files, and live again.
            for keys in [",", "D", ",", "D", "\x1b[F", "w", "\x1b", "\x1b", "A", "b", "3", "R", "\x14"] {
                s.keys(keys);
                std::thread::sleep(std::time::Duration::from_millis(50));
                assert!(s.is_running(), "{keys:?} at {cols}x{rows}\n{}", s.text());
            }
            let written = samples(&at);
            let closed = || {
                let mut frames = Frames::new(File::open(recording_file(&at)?).ok()?);
                while frames.sample().ok()?.is_some() {}
                frames.is_closed().then_some(())
            };
            until("the end of the recording", closed).unwrap();
            assert!(samples(&at) >= written);
            s.keys("q");
            assert_eq!(s.ends(), 0, "{cols}x{rows}");
            s.is_restored();
            let raw = String::from_utf8_lossy(&s.raw()).into_owned();
            assert!(!raw.contains("\u{1b}]0;title") && !raw.contains('\u{202e}'), "{cols}x{rows}");
        }
        drop(l);
    });
}
