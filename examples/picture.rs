//! Makes the picture of the README: a busy nginx with real clients, and the dashboard's screen over it as an SVG.
//!
//! ```sh
//! cargo build --release && cargo run --release --example picture > assets/dashboard.svg
//! ```
//!
//! Runs in namespaces of its own (`unshare`: user, network, pid), so nothing else of the machine is in the picture.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

type Done<T> = Result<T, Box<dyn Error>>;

const INSIDE: &str = "SOCKSCOPE_PICTURE";

fn main() -> Done<()> {
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
    let mut nginx = nginx(dir.path())?;
    let shown = world().and_then(dashboard);
    // Asked to end: the master takes its workers with it.
    if let Some(pid) = i32::try_from(nginx.id()).ok().and_then(rustix::process::Pid::from_raw) {
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
    }
    nginx.wait()?;
    print!("{}", shown?);
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

/// The dashboard's screen over it as a picture, taken with requests under way.
fn dashboard(mut world: World) -> Done<String> {
    let program: PathBuf = std::env::current_exe()?
        .parent()
        .and_then(Path::parent)
        .map(|d| d.join("sockscope"))
        .filter(|p| p.exists())
        .ok_or("build sockscope first, in the same profile")?;
    let camera = Command::new(program)
        .args(["--netns", "here", "screenshot", "--format", "svg", "--size", "132x34", "--polls", "9"])
        .stdout(Stdio::piped())
        .spawn()?;
    let picture = std::thread::spawn(move || camera.wait_with_output());
    let mut answer = [0; 8192];
    let mut turn = 0usize;
    while !picture.is_finished() {
        for c in world.clients.iter_mut().skip(turn % 7).step_by(7) {
            c.write_all(b"GET / HTTP/1.1\r\nHost: web-1\r\n\r\n")?;
            let _ = c.read(&mut answer)?;
        }
        // And some that come and go.
        let mut short = connect([127, 40, 0, (turn % 250) as u8], 443)?;
        short.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        while short.read(&mut answer)? > 0 {}
        turn += 1;
        std::thread::sleep(Duration::from_millis(60));
    }
    let out = picture.join().map_err(|_| "the picture was not taken")??;
    if !out.status.success() {
        return Err("sockscope screenshot failed".into());
    }
    Ok(String::from_utf8(out.stdout)?)
}
