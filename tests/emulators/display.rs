//! A virtual display (Xvfb) and terminals on it.

use super::picture::Picture;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest wait, sized for a busy machine.
const PATIENCE: Duration = Duration::new(120, 0);
/// Size of the terminals in cells.
const CELLS: (usize, usize) = (80, 24);

/// Demo data that stay as they are.
pub(crate) const SCENARIO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/emulators/still.scenario");

/// Script of each terminal: a line that must be there again afterwards, the program once it may start, then what somebody typed.
const SCRIPT: &str = "echo before\n\
    until [ -e \"$SHARED/go\" ]; do sleep 0.05; done\n\
    \"$SOCKSCOPE\" --demo=\"$SCENARIO\" --interval 1h\n\
    printf after\n\
    stty -icanon min 0 time 2\n\
    head -c 100 >\"$SHARED/typed.new\"\n\
    mv \"$SHARED/typed.new\" \"$SHARED/typed\"\n\
    exec sleep 1000\n";

/// A running X server without a screen.
pub(crate) struct Display {
    server: Child,
    name: String,
    /// Settings of fonts: no grey edges, so that text has one colour.
    fonts: tempfile::TempDir,
}

impl Display {
    /// Starts a server on a free display.
    pub(crate) fn start() -> Self {
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "1000x700x24", "-nolisten", "tcp"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvfb; tests/run installs it");
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let fonts = tempfile::tempdir().unwrap();
        let conf = "<?xml version=\"1.0\"?><!DOCTYPE fontconfig SYSTEM \"fonts.dtd\"><fontconfig>\
            <include>/etc/fonts/fonts.conf</include><match target=\"font\">\
            <edit name=\"antialias\" mode=\"assign\"><bool>false</bool></edit></match></fontconfig>";
        // For cairo, which VTE draws with.
        std::fs::write(fonts.path().join("resources"), "Xft.antialias: 0\nXft.rgba: none\nXft.dpi: 96\n")
            .unwrap();
        std::fs::write(fonts.path().join("fonts.conf"), conf).unwrap();
        Self { server, name: format!(":{}", line.trim()), fonts }
    }

    /// A command whose windows are on this display.
    fn command(&self, program: &str) -> Command {
        let mut c = Command::new(program);
        c.env("DISPLAY", &self.name).env("FONTCONFIG_FILE", self.fonts.path().join("fonts.conf"));
        c.env("XENVIRONMENT", self.fonts.path().join("resources"));
        c
    }

    /// Presses a key in the only window.
    pub(crate) fn press(&self, key: &str) {
        let done = self.command("xdotool").args(["mousemove", "40", "40", "key", key]).status().unwrap();
        assert!(done.success(), "xdotool key {key}");
    }

    /// Picture of a terminal's window.
    fn picture(&self, window: &Window) -> Option<Picture> {
        let (width, height) = window.pixels()?;
        let out = self.command("xwd").args(["-root", "-silent"]).output().unwrap();
        assert!(out.status.success(), "xwd: {}", String::from_utf8_lossy(&out.stderr));
        // XWDFile.h: big-endian words; the size of the header, of a line, and the number of colours after the header.
        let word = |n: usize| u32::from_be_bytes(out.stdout[4 * n..4 * n + 4].try_into().unwrap()) as usize;
        let (start, line) = (word(0) + 12 * word(19), word(12));
        // Packed into 3 bytes where windows have different visuals, as that of GTK.
        let bytes = word(11) / 8;
        assert!(word(7) == 0 && matches!(bytes, 3 | 4), "little-endian pixels: {:x?}", &out.stdout[..100]);
        let pixel = |x: usize, y: usize| {
            let at = start + y * line + bytes * x;
            let [b, g, r] = [0, 1, 2].map(|n| u32::from(out.stdout[at + n]));
            r << 16 | g << 8 | b
        };
        let pixels =
            (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| pixel(x, y)).collect();
        Some(Picture { width, pixels, columns: CELLS.0, rows: CELLS.1 })
    }

    /// The picture once it shows one of these texts.
    pub(crate) fn shows(&self, window: &Window, name: &str, texts: &[String]) -> Picture {
        let end = Instant::now() + PATIENCE;
        loop {
            let now = self.picture(window);
            let differs =
                |text: &String| now.as_ref().map_or(Some("no size".to_owned()), |p| p.difference(text));
            let difference: Option<Vec<String>> = texts.iter().map(differs).collect();
            match (now, difference) {
                (Some(p), None) => return p,
                (now, Some(difference)) if Instant::now() > end => {
                    if let Some(p) = now {
                        p.keep(&format!("{name} failed"));
                    }
                    panic!("{name}: not on the screen {difference:?}:\n{}", texts.join("\n"));
                }
                _ => std::thread::sleep(Duration::from_millis(30)),
            }
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Leaves out the card of the first start, which has a frame only where windows have no background of their own.
pub(crate) fn not_first_start(state: &Path) {
    std::fs::create_dir(state.join("sockscope")).unwrap();
    std::fs::write(state.join("sockscope/session.json"), "{}").unwrap();
}

/// A terminal at the upper left corner of the display.
pub(crate) struct Window {
    terminal: Child,
    shared: tempfile::TempDir,
}

impl Window {
    /// Opens a terminal of these colours that runs [`SCRIPT`] in a shell command: its `$0` is the script.
    pub(crate) fn open(
        display: &Display,
        terminal: &str,
        colors: (&str, &str),
        inside: &str,
        term: Option<&str>,
    ) -> Self {
        let shared = tempfile::tempdir().unwrap();
        let script = shared.path().join("script");
        std::fs::write(&script, SCRIPT).unwrap();
        not_first_start(shared.path());
        let sockets = script.with_extension("screen");
        std::fs::create_dir(&sockets).unwrap();
        // Screen refuses a folder that others can read.
        std::fs::set_permissions(&sockets, std::fs::Permissions::from_mode(0o700)).unwrap();
        // Size in pixels, as xterm reports it; a multiplexer does not pass it on. VTE has no such report, vte.py writes it.
        let size = if terminal == "vte" {
            ""
        } else {
            "/usr/bin/python3 -c 'import fcntl,termios,struct;\
            print(*struct.unpack(\"4H\",fcntl.ioctl(0,termios.TIOCGWINSZ,bytes(8))))' >\"$SHARED/size.new\" && \
            mv \"$SHARED/size.new\" \"$SHARED/size\";"
        };
        let set = term.map_or_else(String::new, |t| format!("export TERM={t}; unset COLORTERM;"));
        let shell = format!("{set} {size} {inside}");
        let (columns, rows) = (CELLS.0.to_string(), CELLS.1.to_string());
        let mut command = match terminal {
            "vte" => {
                let mut c = display.command("/usr/bin/python3");
                c.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/emulators/vte.py"));
                c.args([colors.0, colors.1, &columns, &rows]);
                c
            }
            _ => {
                let mut c = display.command("xterm");
                c.args(["-fa", "DejaVu Sans Mono", "-fs", "10", "-b", "0", "-bw", "0", "+sb", "-uc"]);
                c.args([
                    "-geometry",
                    &format!("{columns}x{rows}+0+0"),
                    "-fg",
                    colors.0,
                    "-bg",
                    colors.1,
                    "-e",
                ]);
                c
            }
        };
        for name in ["NO_COLOR", "COLORTERM", "COLORFGBG", "TMUX", "STY", "LC_ALL", "LC_CTYPE"] {
            command.env_remove(name);
        }
        command.args(["sh", "-c", &shell]).arg(&script);
        let terminal = command
            .env("LANG", "C.UTF-8")
            .env("SCENARIO", SCENARIO)
            .env("NO_AT_BRIDGE", "1")
            .env("GSETTINGS_BACKEND", "memory")
            .env("SHARED", shared.path())
            .env("SOCKSCOPE", env!("CARGO_BIN_EXE_sockscope"))
            .env("XDG_CONFIG_HOME", shared.path())
            .env("XDG_STATE_HOME", shared.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a terminal; tests/run installs it");
        Self { terminal, shared }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.shared.path().join(name)
    }

    /// Width and height in pixels, once known.
    fn pixels(&self) -> Option<(usize, usize)> {
        let text = std::fs::read_to_string(self.file("size")).ok()?;
        let n: Vec<usize> = text.split_whitespace().map(|w| w.parse().unwrap()).collect();
        assert_eq!((n[1], n[0]), CELLS, "size of the terminal");
        Some((n[2], n[3]))
    }

    /// Lets the program start.
    pub(crate) fn go(&mut self) {
        std::fs::write(self.file("go"), "").unwrap();
    }

    /// Input that the shell reads after the program has ended.
    pub(crate) fn typed(&self, name: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Ok(text) = std::fs::read(self.file("typed")) {
                return String::from_utf8_lossy(&text).into_owned();
            }
            assert!(Instant::now() < end, "{name}: the program does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // Closing the terminal ends what runs in it, but the servers of tmux and screen.
        let script = self.file("script");
        let tmux = format!("{}.tmux", script.display());
        let quiet = |mut c: Command| {
            let _ = c.stdout(Stdio::null()).stderr(Stdio::null()).status();
        };
        let mut c = Command::new("tmux");
        c.args(["-S", &tmux, "kill-server"]);
        quiet(c);
        let mut c = Command::new("screen");
        c.env("SCREENDIR", script.with_extension("screen")).args(["-X", "quit"]);
        quiet(c);
        let _ = self.terminal.kill();
        let _ = self.terminal.wait();
    }
}
