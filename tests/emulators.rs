//! The program in real terminal emulators under a virtual display, judged by the pixels: no text with a contrast below 4.5
//! against what is really behind it, and nothing left behind after quitting. The text of each screen is known
//! (`screenshot`), so a picture is complete when exactly the cells that are not blank have ink.

// Tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "emulators/display.rs"]
mod display;
#[path = "emulators/picture.rs"]
mod picture;

use display::{Display, SCENARIO, Window, not_first_start};
use picture::Picture;
use std::process::Command;
use std::sync::Mutex;

/// Colours of a terminal: text and background.
const DARK: (&str, &str) = ("#d0d0d0", "#000000");
const LIGHT: (&str, &str) = ("#000000", "#ffffff");

/// Program in the terminal that sockscope runs in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Inside {
    Nothing,
    Tmux,
    Screen,
}

/// Keys as `xdotool` names them, as `screenshot` does, and the screen that they lead to. No Escape, which GNU screen holds back.
const SCREENS: [(&str, &str, &str); 5] = [
    ("", "", "sockets"),
    ("Return", "<enter>", "details"),
    ("5", "5", "limits"),
    ("question", "?", "help"),
    ("q", "q", "limits again"),
];

/// A terminal, its colours, the program in it, and its `TERM` if not its own.
type Case = (&'static str, (&'static str, &'static str), Inside, Option<&'static str>);

/// Text of the dashboard after these keys, in many colors and in sixteen, where windows have frames and gauges a pattern.
fn expected(keys: &str) -> Vec<String> {
    ["dark", "16"].map(|theme| screenshot(keys, theme)).into()
}

fn screenshot(keys: &str, theme: &str) -> String {
    let home = tempfile::tempdir().unwrap();
    not_first_start(home.path());
    let out = Command::new(env!("CARGO_BIN_EXE_sockscope"))
        .args([
            &format!("--demo={SCENARIO}"),
            "--theme",
            theme,
            "--interval",
            "1h",
            "screenshot",
            "--size",
            "80x24",
            "--polls",
            "1",
            "--keys",
            keys,
        ])
        .env_remove("NO_COLOR")
        .env("LANG", "C.UTF-8")
        .env("XDG_CONFIG_HOME", home.path())
        .env("XDG_STATE_HOME", home.path())
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// Shows sockscope in a terminal: every view's text is readable, and quitting leaves nothing.
fn check(display: &Display, (terminal, colors, inside, term): Case) -> Vec<String> {
    let mut faults = Vec::new();
    let name = format!("{terminal} {} {inside:?} {}", colors.1, term.unwrap_or(""));
    let mut window = Window::open(display, terminal, colors, inside_command(inside), term);
    display.shows(&window, &name, &["before\n█".to_owned()]).keep(&format!("{name} before"));
    window.go();
    let mut lowest = (f64::INFINITY, String::new());
    let mut typed = String::new();
    for (key, script, what) in SCREENS {
        typed += script;
        if !key.is_empty() {
            display.press(key);
        }
        let picture = display.shows(&window, &format!("{name} {what}"), &expected(&typed));
        picture.keep(&format!("{name} {what}"));
        let low = picture.lowest_contrast();
        if low.0 < lowest.0 {
            lowest = (low.0, format!("{what}, {}", low.1));
        }
    }
    display.press("q");
    // Without an alternate screen there is none to restore; the next prompt is on the last line then.
    let above = if inside == Inside::Screen { "\n".repeat(23) } else { "before\n".to_owned() };
    let after = [format!("{above}after█")];
    display.shows(&window, &format!("{name} after"), &after).keep(&format!("{name} after"));
    let typed = window.typed(&name);
    println!("{name}: lowest contrast {:.1} ({})", lowest.0, lowest.1);
    if lowest.0 < 4.5 {
        faults.push(format!("{name}: contrast {:.2} in {}", lowest.0, lowest.1));
    }
    if !typed.is_empty() {
        faults.push(format!("{name}: typed into the shell: {typed:?}"));
    }
    faults
}

fn inside_command(inside: Inside) -> &'static str {
    match inside {
        Inside::Nothing => "exec sh \"$0\"",
        // With a server of its own, which ends with the session.
        Inside::Tmux => {
            "exec tmux -S \"$0.tmux\" -f /dev/null new-session \"tmux set status off; tmux set -s escape-time 0; exec sh '$0'\""
        }
        Inside::Screen => "exec env SCREENDIR=\"$0.screen\" screen -c /dev/null sh \"$0\"",
    }
}

/// Packages of which nothing is installed.
fn missing_packages() -> Vec<&'static str> {
    let runs = |script: &str| {
        let mut c = Command::new("sh");
        c.args(["-c", script]).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        c.status().is_ok_and(|s| s.success())
    };
    let packages = [
        ("xvfb", "command -v Xvfb"),
        ("x11-apps", "command -v xwd"),
        ("xdotool", "command -v xdotool"),
        ("xterm", "command -v xterm"),
        ("tmux", "command -v tmux"),
        ("screen", "command -v screen"),
        ("fonts-dejavu-core", "fc-list | grep -q DejaVuSansMono"),
        ("python3-gi", "/usr/bin/python3 -c 'import gi'"),
        ("gir1.2-vte-2.91", "/usr/bin/python3 -c 'import gi; gi.require_version(\"Vte\", \"2.91\")'"),
    ];
    packages.into_iter().filter(|(_, test)| !runs(test)).map(|(name, _)| name).collect()
}

#[test]
fn text_is_readable_and_nothing_is_left_behind_in_real_terminals() {
    let missing = missing_packages();
    if !missing.is_empty() {
        let why = format!("the dashboard in real terminals: not installed: {}", missing.join(" "));
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/not-checked");
        assert!(Command::new(script).arg(why).status().unwrap().success());
        return;
    }
    let mut cases: Vec<Case> = Vec::new();
    for colors in [DARK, LIGHT] {
        for (terminal, inside, term) in [
            ("xterm", Inside::Nothing, None),
            ("xterm", Inside::Nothing, Some("xterm")),
            ("xterm", Inside::Tmux, None),
            ("xterm", Inside::Screen, None),
            ("vte", Inside::Nothing, None),
            ("vte", Inside::Tmux, None),
        ] {
            cases.push((terminal, colors, inside, term));
        }
    }
    let (cases, faults) = (Mutex::new(cases), Mutex::new(Vec::new()));
    std::thread::scope(|threads| {
        for _ in 0..3 {
            threads.spawn(|| {
                let display = Display::start();
                loop {
                    let Some(case) = cases.lock().unwrap().pop() else { break };
                    let found = check(&display, case);
                    faults.lock().unwrap().extend(found);
                }
            });
        }
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn unreadable_text_and_leftovers_are_found() {
    // Three cells of 4 by 4: ink, a blank, ink.
    let picture = |ink: [u32; 3]| {
        let pixel = |x: usize, y: usize| {
            if (x % 4, y % 4) == (1, 1) || (x % 4, y % 4) == (1, 2) { ink[x / 4] } else { 0x00ff_ffff }
        };
        let pixels = (0..4).flat_map(|y| (0..12).map(move |x| (x, y))).map(|(x, y)| pixel(x, y)).collect();
        Picture { width: 12, pixels, columns: 3, rows: 1 }
    };
    let grey = picture([0, 0x00ff_ffff, 0x0077_7777]);
    assert!((grey.lowest_contrast().0 - 4.48).abs() < 0.01);
    assert!(picture([0, 0x00ff_ffff, 0]).lowest_contrast().0 > 20.9);
    assert_eq!(grey.difference("a b"), None);
    assert_eq!(grey.difference("a █"), None);
    assert!(grey.difference("a").is_some_and(|d| d.contains("column 3: ' ' expected")));
    assert!(grey.difference("abc").is_some_and(|d| d.contains("column 2: 'b' expected")));
}
