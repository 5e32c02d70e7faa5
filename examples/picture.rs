//! Makes the picture of the README: a busy nginx with real clients, the dashboard over it in a real pseudo-terminal, and
//! what its screen shows as an SVG.
//!
//! ```sh
//! cargo build --release && cargo run --release --example picture > assets/dashboard.svg
//! ```
//!
//! Runs in a user and network namespace of its own (`unshare`), so nothing else of the machine is in the picture.

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use std::error::Error;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

type Done<T> = Result<T, Box<dyn Error>>;

const COLS: u16 = 132;
const ROWS: u16 = 34;
const INSIDE: &str = "SOCKSCOPE_PICTURE";
/// One cell of the picture, pixels.
const CELL: (f32, f32) = (8.43, 18.0);

fn main() -> Done<()> {
    if std::env::var_os(INSIDE).is_none() {
        let status = Command::new("unshare")
            .args(["--user", "--map-root-user", "--net", "--uts", "--", "sh", "-c"])
            .arg("hostname web-1 2>/dev/null; ip link set lo up && exec \"$0\"")
            .arg(std::env::current_exe()?)
            .env(INSIDE, "1")
            .status()?;
        return if status.success() { Ok(()) } else { Err("unshare failed".into()) };
    }
    let dir = tempfile::tempdir()?;
    let mut nginx = nginx(dir.path())?;
    let shown = world().and_then(dashboard);
    // Asked to end: the master takes its workers with it.
    if let Some(pid) = i32::try_from(nginx.id()).ok().and_then(rustix::process::Pid::from_raw) {
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
    }
    nginx.wait()?;
    println!("{}", svg(shown?.screen()));
    Ok(())
}

fn nginx(dir: &Path) -> Done<Child> {
    let file = dir.join("nginx.conf");
    std::fs::write(
        &file,
        format!(
            "user root;\ndaemon off;\nworker_processes 3;\npid {d}/pid;\nerror_log {d}/error.log;\n\
             events {{ worker_connections 4096; }}\nhttp {{ access_log off; keepalive_timeout 300;\n\
             client_body_temp_path {d}/a; proxy_temp_path {d}/b; fastcgi_temp_path {d}/c;\n\
             uwsgi_temp_path {d}/d; scgi_temp_path {d}/e;\n\
             server {{ listen 80; listen 443; location / {{ return 200 \"{body}\"; }} }} }}\n",
            d = dir.display(),
            body = "x".repeat(2000)
        ),
    )?;
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    Ok(Command::new("nginx")
        .args(["-p".as_ref(), dir.as_os_str(), "-c".as_ref(), file.as_os_str()])
        .env("PATH", path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?)
}

/// A connection from an address of its own.
fn connect(from: [u8; 4], port: u16) -> Done<TcpStream> {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let s = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&s, &SocketAddr::from((from, 0)))?;
    connect(&s, &SocketAddr::from(([127, 0, 0, 1], port)))?;
    Ok(TcpStream::from(s))
}

/// What is held while the picture is taken.
struct World {
    clients: Vec<TcpStream>,
    _held: Vec<TcpStream>,
    _listeners: Vec<TcpListener>,
    _datagram: UdpSocket,
}

fn world() -> Done<World> {
    let end = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect("127.0.0.1:443").is_err() {
        if Instant::now() > end {
            return Err("nginx does not answer".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut clients = Vec::new();
    for i in 0..240u8 {
        clients.push(connect([127, 10, i % 60, 7], if i % 6 == 0 { 80 } else { 443 })?);
    }
    // A server that does not close what its clients closed, and does not accept any more.
    let leaky = TcpListener::bind("127.0.0.1:8443")?;
    let mut held = Vec::new();
    for i in 0..12 {
        let client = connect([127, 20, 0, i], 8443)?;
        held.push(leaky.accept()?.0);
        drop(client);
    }
    for i in 0..7 {
        held.push(connect([127, 30, 0, i], 8443)?);
    }
    let datagram = UdpSocket::bind("127.0.0.1:5353")?;
    Ok(World {
        clients,
        _held: held,
        _listeners: vec![leaky, TcpListener::bind("[::1]:9090")?],
        _datagram: datagram,
    })
}

/// Runs the dashboard over it, with requests under way, and gives the last screen.
fn dashboard(mut world: World) -> Done<vt100::Parser> {
    let program: PathBuf = std::env::current_exe()?
        .parent()
        .and_then(Path::parent)
        .map(|d| d.join("sockscope"))
        .filter(|p| p.exists())
        .ok_or("build sockscope first, in the same profile")?;
    let pair =
        native_pty_system().openpty(PtySize { rows: ROWS, cols: COLS, pixel_width: 0, pixel_height: 0 })?;
    let mut command = CommandBuilder::new(program);
    command.cwd(".");
    command.env("TERM", "xterm-256color");
    command.env("COLORTERM", "truecolor");
    command.env("LANG", "C.UTF-8");
    let mut child = pair.slave.spawn_command(command)?;
    let mut reader = pair.master.try_clone_reader()?;
    let mut writer = pair.master.take_writer()?;
    let (tell, output) = channel();
    std::thread::spawn(move || {
        let mut buf = [0; 8192];
        while let Ok(n @ 1..) = reader.read(&mut buf) {
            if tell.send(buf[..n].to_vec()).is_err() {
                return;
            }
        }
    });
    let some = |n| NonZero::new(n).unwrap_or(NonZero::<u16>::MIN);
    let mut parser = vt100::Parser::new(some(ROWS), some(COLS), 0);
    let end = Instant::now() + Duration::from_secs(9);
    let mut answer = [0; 8192];
    let mut turn = 0usize;
    while Instant::now() < end {
        for c in world.clients.iter_mut().skip(turn % 7).step_by(7) {
            c.write_all(b"GET / HTTP/1.1\r\nHost: web-1\r\n\r\n")?;
            let _ = c.read(&mut answer)?;
        }
        // And some that come and go.
        let mut short = connect([127, 40, 0, (turn % 250) as u8], 443)?;
        short.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        while short.read(&mut answer)? > 0 {}
        turn += 1;
        while let Ok(bytes) = output.try_recv() {
            parser.process(&bytes);
        }
        std::thread::sleep(Duration::from_millis(60));
    }
    writer.write_all(b"q")?;
    writer.flush()?;
    child.wait()?;
    Ok(parser)
}

fn color(c: vt100::Color, usual: &str) -> String {
    match c {
        vt100::Color::Default => usual.to_owned(),
        vt100::Color::Rgb(r, g, b) => format!("#{r:02x}{g:02x}{b:02x}"),
        vt100::Color::Idx(n) => format!("#{n:02x}{n:02x}{n:02x}"),
    }
}

/// The screen as a picture: a rectangle for each run of a background, a text for each run of a style.
fn svg(screen: &vt100::Screen) -> String {
    let (w, h) = (f32::from(COLS) * CELL.0 + 24.0, f32::from(ROWS) * CELL.1 + 24.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w:.0} {h:.0}\" width=\"{w:.0}\" height=\"{h:.0}\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#101114\"/>\n\
         <g font-family=\"'JetBrains Mono','DejaVu Sans Mono',Menlo,Consolas,monospace\" font-size=\"14\" xml:space=\"preserve\">\n"
    );
    for row in 0..ROWS {
        let y = 12.0 + f32::from(row) * CELL.1;
        let mut col = 0;
        while col < COLS {
            let Some(first) = screen.cell(row, col) else { break };
            let style = |c: &vt100::Cell| (c.fgcolor(), c.bgcolor(), c.bold(), c.underline(), c.inverse());
            let mut text = String::new();
            let from = col;
            while let Some(c) = screen.cell(row, col).filter(|c| style(c) == style(first) && col < COLS) {
                text.push_str(if c.has_contents() { c.contents() } else { " " });
                col += 1;
            }
            let (mut fg, mut bg) = (color(first.fgcolor(), "#d0d4db"), color(first.bgcolor(), "none"));
            if first.inverse() {
                (fg, bg) = (if bg == "none" { "#101114".to_owned() } else { bg }, fg);
            }
            let x = 12.0 + f32::from(from) * CELL.0;
            let wide = f32::from(col - from) * CELL.0;
            // Writing to a String cannot fail.
            if bg != "none" {
                let _ = writeln!(
                    out,
                    "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{:.1}\" fill=\"{bg}\"/>",
                    CELL.1
                );
            }
            let shown = text.trim_end();
            if !shown.trim().is_empty() {
                let lead = shown.len() - shown.trim_start().len();
                let n = shown.trim_start().chars().count() as f32;
                let x = x + lead as f32 * CELL.0;
                let bold = if first.bold() { " font-weight=\"bold\"" } else { "" };
                let under = if first.underline() { " text-decoration=\"underline\"" } else { "" };
                let safe = shown.trim_start().replace('&', "&amp;").replace('<', "&lt;");
                let _ = writeln!(
                    out,
                    "<text x=\"{x:.1}\" y=\"{:.1}\" textLength=\"{:.1}\" lengthAdjust=\"spacingAndGlyphs\" fill=\"{fg}\"{bold}{under}>{safe}</text>",
                    y + 13.5,
                    n * CELL.0
                );
            }
        }
    }
    out.push_str("</g>\n</svg>");
    out
}
