//! Renders the screenshot in the README: the dashboard of a busy nginx with real clients, as SVG.
//!
//! ```sh
//! cargo build --release && cargo run --release --example picture > assets/dashboard.svg
//! ```
//!
//! Runs in separate namespaces (`unshare`: user, network, pid), so nothing else on the machine is in the screenshot.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

type Outcome<T> = Result<T, Box<dyn Error>>;

const INSIDE: &str = "SOCKSCOPE_PICTURE";

fn main() -> Outcome<()> {
    if std::env::var_os(INSIDE).is_none() {
        let status = Command::new("unshare")
            .args(["--user", "--map-root-user", "--net", "--uts", "--pid", "--fork", "--mount-proc", "--"])
            .args(["sh", "-c"])
            .arg("hostname web-1 2>/dev/null; ip link set lo up && exec \"$0\"")
            .arg(std::env::current_exe()?)
            .env(INSIDE, "1")
            .status()?;
        return if status.success() { Ok(()) } else { Err("unshare failed".into()) };
    }
    let dir = tempfile::tempdir()?;
    let mut nginx = start_nginx(dir.path())?;
    let svg = start_traffic().and_then(take_screenshot);
    // SIGTERM to the master also stops the workers.
    if let Some(pid) = i32::try_from(nginx.id()).ok().and_then(rustix::process::Pid::from_raw) {
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
    }
    nginx.wait()?;
    print!("{}", svg?);
    Ok(())
}

fn start_nginx(dir: &Path) -> Outcome<Child> {
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

/// Connects from a given address.
fn connect(from: [u8; 4], port: u16) -> Outcome<TcpStream> {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let s = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&s, &SocketAddr::from((from, 0)))?;
    connect(&s, &SocketAddr::from(([127, 0, 0, 1], port)))?;
    Ok(TcpStream::from(s))
}

/// Sockets kept open while the screenshot is taken.
struct Traffic {
    clients: Vec<TcpStream>,
    _open: Vec<TcpStream>,
    _listeners: Vec<TcpListener>,
    _datagram: UdpSocket,
}

fn start_traffic() -> Outcome<Traffic> {
    let end = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect("127.0.0.1:443").is_err() {
        if Instant::now() > end {
            return Err("nginx does not accept connections".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut clients = Vec::new();
    for i in 0..240u8 {
        clients.push(connect([127, 10, i % 60, 7], if i % 6 == 0 { 80 } else { 443 })?);
    }
    // A server that neither closes connections closed by its clients nor accepts new ones.
    let leaky = TcpListener::bind("127.0.0.1:8443")?;
    let mut open = Vec::new();
    for i in 0..12 {
        let client = connect([127, 20, 0, i], 8443)?;
        open.push(leaky.accept()?.0);
        drop(client);
    }
    for i in 0..7 {
        open.push(connect([127, 30, 0, i], 8443)?);
    }
    let datagram = UdpSocket::bind("127.0.0.1:5353")?;
    Ok(Traffic {
        clients,
        _open: open,
        _listeners: vec![leaky, TcpListener::bind("[::1]:9090")?],
        _datagram: datagram,
    })
}

/// Takes the screenshot while requests are made.
fn take_screenshot(mut traffic: Traffic) -> Outcome<String> {
    let program: PathBuf = std::env::current_exe()?
        .parent()
        .and_then(Path::parent)
        .map(|d| d.join("sockscope"))
        .filter(|p| p.exists())
        .ok_or("build sockscope first, in the same profile")?;
    let sockscope = Command::new(program)
        .args(["--netns", "here", "screenshot", "--format", "svg", "--size", "132x34", "--polls", "9"])
        .stdout(Stdio::piped())
        .spawn()?;
    let output = std::thread::spawn(move || sockscope.wait_with_output());
    let mut buf = [0; 8192];
    let mut round = 0usize;
    while !output.is_finished() {
        for c in traffic.clients.iter_mut().skip(round % 7).step_by(7) {
            c.write_all(b"GET / HTTP/1.1\r\nHost: web-1\r\n\r\n")?;
            let _ = c.read(&mut buf)?;
        }
        // And short-lived connections.
        let mut short = connect([127, 40, 0, (round % 250) as u8], 443)?;
        short.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        while short.read(&mut buf)? > 0 {}
        round += 1;
        std::thread::sleep(Duration::from_millis(60));
    }
    let out = output.join().map_err(|_| "screenshot thread panicked")??;
    if !out.status.success() {
        return Err("sockscope screenshot failed".into());
    }
    Ok(String::from_utf8(out.stdout)?)
}
