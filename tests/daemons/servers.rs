//! The daemons: configuration, start, end by pid.

use crate::wait::until;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Directory of all data, on the tmpfs that the case has mounted.
pub(crate) const DIR: &str = "/run/d";

/// Configuration files.
const FILES: &[(&str, &str)] = &[
    (
        "nginx.conf",
        "daemon off; user root; worker_processes 2; pid /run/d/nginx.pid; error_log /run/d/nginx.err;\n\
         worker_shutdown_timeout 5;\nevents { worker_connections 1024; }\n\
         http { access_log off; keepalive_timeout 600; keepalive_requests 1000000;\n\
         client_body_temp_path /run/d/t1; proxy_temp_path /run/d/t2; fastcgi_temp_path /run/d/t3;\n\
         uwsgi_temp_path /run/d/t4; scgi_temp_path /run/d/t5;\n\
         server { listen 127.0.0.1:8080; location / { return 200 \"ok\\n\"; } location /stub { stub_status; } } }\n",
    ),
    (
        "haproxy.conf",
        "global\n stats socket /run/d/haproxy.sock mode 600 level admin\n maxconn 2000\n\
         defaults\n mode http\n timeout connect 5s\n timeout client 600s\n timeout server 600s\n\
         frontend f\n bind 127.0.0.1:8081\n default_backend b\n\
         backend b\n server a 127.0.0.1:8080 check inter 500ms\n",
    ),
    (
        "unbound.conf",
        "server:\n interface: 127.0.0.1@5353\n do-daemonize: no\n chroot: \"\"\n username: \"\"\n directory: \"/run/d\"\n\
         pidfile: \"/run/d/unbound.pid\"\n use-syslog: no\n logfile: \"/run/d/unbound.log\"\n module-config: \"iterator\"\n\
         local-zone: \"test.\" static\n local-data: \"a.test. A 10.0.0.1\"\n\
         remote-control:\n control-enable: no\n",
    ),
    (
        "sshd.conf",
        "Port 2222\nListenAddress 127.0.0.1\nHostKey /run/d/hostkey\nUsePAM no\nPermitRootLogin yes\nStrictModes no\n\
         AuthorizedKeysFile /run/d/key.pub\nPidFile none\nMaxStartups 100\n",
    ),
    (
        "mosquitto.conf",
        "listener 1883 127.0.0.1\nallow_anonymous true\npersistence false\nsys_interval 1\nuser daemon\nlog_dest file /dev/null\n",
    ),
    (
        "rsyslog.conf",
        "module(load=\"imudp\")\ninput(type=\"imudp\" address=\"127.0.0.1\" port=\"5140\" rcvbufSize=\"RCVBUF\")\n\
         action(type=\"omfile\" file=\"/run/d/syslog\")\n",
    ),
];

/// Command lines, and the TCP port that is open when the daemon serves; 0 for UDP only.
const SERVERS: &[(&str, u16, &[&str])] = &[
    ("nginx", 8080, &["nginx", "-c", "/run/d/nginx.conf", "-e", "/run/d/nginx.err"]),
    ("haproxy", 8081, &["haproxy", "-W", "-db", "-f", "/run/d/haproxy.conf"]),
    (
        "redis",
        6379,
        &[
            "redis-server",
            "--bind",
            "127.0.0.1",
            "--dir",
            "/run/d",
            "--save",
            "",
            "--enable-debug-command",
            "yes",
            "--logfile",
            "/run/d/redis.log",
            "--tcp-backlog",
            "BACKLOG",
        ],
    ),
    (
        "postgres",
        5432,
        &[
            "setpriv",
            "--reuid=postgres",
            "--regid=postgres",
            "--clear-groups",
            "--",
            "postgres",
            "-D",
            "/run/d/pg",
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "unix_socket_directories=/run/d/pg",
            "-c",
            "fsync=off",
            "-c",
            "max_connections=60",
        ],
    ),
    ("unbound", 5353, &["unbound", "-c", "/run/d/unbound.conf"]),
    ("sshd", 2222, &["/usr/sbin/sshd", "-D", "-f", "/run/d/sshd.conf", "-E", "/run/d/sshd.log"]),
    ("memcached", 11211, &["memcached", "-u", "daemon", "-l", "127.0.0.1", "-p", "11211", "-c", "512"]),
    ("mosquitto", 1883, &["mosquitto", "-c", "/run/d/mosquitto.conf"]),
    ("rsyslog", 0, &["rsyslogd", "-n", "-f", "/run/d/rsyslog.conf", "-i", "/run/d/rsyslog.pid"]),
];

/// Running daemons by name, ended when dropped.
pub(crate) struct Servers {
    running: BTreeMap<&'static str, Child>,
    /// `--tcp-backlog` of redis.
    pub(crate) backlog: &'static str,
    /// `rcvbufSize` of rsyslog, bytes.
    pub(crate) rcvbuf: &'static str,
}

impl Drop for Servers {
    fn drop(&mut self) {
        let names: Vec<_> = self.running.keys().copied().collect();
        for name in names {
            self.end(name);
        }
    }
}

/// Runs a shell command; its output, or the error with both.
pub(crate) fn sh(command: &str) -> Result<String, String> {
    let out =
        Command::new("sh").args(["-c", command]).stdin(Stdio::null()).output().map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    if out.status.success() {
        return Ok(text);
    }
    Err(format!("{command}: {}: {text}{}", out.status, String::from_utf8_lossy(&out.stderr)))
}

impl Servers {
    /// Prepares the data directory; programs of `PostgreSQL` are found without being on the path.
    pub(crate) fn prepare() -> Result<Self, String> {
        sh(&format!("mkdir -p {DIR} /run/sshd && chmod 755 {DIR}"))?;
        let dirs = sh("ls -d /usr/lib/postgresql/*/bin | tail -1")?;
        let path = format!("{}:{}", dirs.trim(), std::env::var("PATH").unwrap_or_default());
        // Set before any thread starts.
        sh(&format!("printf %s '{path}' > {DIR}/path"))?;
        sh(
            "ssh-keygen -q -t ed25519 -N '' -f /run/d/hostkey && ssh-keygen -q -t ed25519 -N '' -f /run/d/key",
        )?;
        sh(&format!(
            "install -d -o postgres -m 700 {DIR}/pg && cd / && PATH=$(cat {DIR}/path) setpriv --reuid=postgres \
             --regid=postgres --clear-groups -- initdb -D {DIR}/pg -A trust -U postgres --no-sync"
        ))?;
        Ok(Self { running: BTreeMap::new(), backlog: "511", rcvbuf: "1m" })
    }

    /// Starts a daemon and waits until it serves.
    pub(crate) fn start(&mut self, name: &str) -> Result<(), String> {
        let (name, port, args) = SERVERS.iter().find(|s| s.0 == name).ok_or("no such daemon")?;
        for (file, text) in FILES {
            let text = text.replace("RCVBUF", self.rcvbuf);
            std::fs::write(Path::new(DIR).join(file), text).map_err(|e| format!("{file}: {e}"))?;
        }
        let args: Vec<&str> = args.iter().map(|a| if *a == "BACKLOG" { self.backlog } else { a }).collect();
        let log = std::fs::File::create(format!("{DIR}/{name}.out")).map_err(|e| e.to_string())?;
        let path = std::fs::read_to_string(format!("{DIR}/path")).map_err(|e| e.to_string())?;
        let mut command = Command::new("env");
        command.arg(format!("PATH={path}")).args(&args).current_dir(DIR);
        let log2 = log.try_clone().map_err(|e| e.to_string())?;
        let child = command.stdin(Stdio::null()).stdout(log).stderr(log2).spawn();
        self.running.insert(name, child.map_err(|e| format!("{name}: {e}"))?);
        until(&format!("{name} to serve"), || {
            if *port == 0 {
                return sh("ss -Hlun sport = 5140").ok().filter(|t| !t.is_empty()).map(drop);
            }
            TcpStream::connect(("127.0.0.1", *port)).ok().map(drop)
        })
        .map_err(|e| {
            format!("{e}: {}", std::fs::read_to_string(format!("{DIR}/{name}.out")).unwrap_or_default())
        })
    }

    /// Starts all.
    pub(crate) fn start_all(&mut self) -> Result<(), String> {
        SERVERS.iter().try_for_each(|s| self.start(s.0))
    }

    /// Pid of the main process.
    pub(crate) fn pid(&self, name: &str) -> Result<u32, String> {
        self.running.get(name).map(Child::id).ok_or_else(|| format!("{name} does not run"))
    }

    /// Pids of its child processes.
    pub(crate) fn children(&self, name: &str) -> Result<Vec<u32>, String> {
        let pid = self.pid(name)?;
        let list = sh(&format!("cat /proc/{pid}/task/{pid}/children"))?;
        Ok(list.split_whitespace().filter_map(|w| w.parse().ok()).collect())
    }

    /// Sends a signal to the main process.
    pub(crate) fn signal(&self, name: &str, signal: &str) -> Result<(), String> {
        sh(&format!("kill -{signal} {}", self.pid(name)?)).map(drop)
    }

    /// Ends a daemon and waits for it.
    pub(crate) fn end(&mut self, name: &str) {
        let Some(mut child) = self.running.remove(name) else { return };
        // A fast shutdown of PostgreSQL disconnects its clients.
        let signal = if name == "postgres" { "INT" } else { "TERM" };
        let _ = sh(&format!("kill -{signal} {}", child.id()));
        let waited = until("its end", || child.try_wait().ok().flatten());
        if waited.is_err() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Restarts a daemon that is too busy to end.
    pub(crate) fn replace(&mut self, name: &str) -> Result<(), String> {
        if let Some(child) = self.running.get_mut(name) {
            child.kill().map_err(|e| e.to_string())?;
        }
        self.restart(name)
    }

    pub(crate) fn restart(&mut self, name: &str) -> Result<(), String> {
        self.end(name);
        self.start(name)
    }
}

/// A run of `load.py`, ended when dropped.
pub(crate) struct Load(Child);

impl Drop for Load {
    fn drop(&mut self) {
        // It exits at the end of its input.
        drop(self.0.stdin.take());
        let _ = until("the end of a client", || self.0.try_wait().ok().flatten());
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Load {
    /// Starts it; with what it prints first, if that is waited for.
    pub(crate) fn start(args: &[&str], wait: bool) -> Result<(Self, String), String> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/daemons/load.py");
        let path = std::fs::read_to_string(format!("{DIR}/path")).map_err(|e| e.to_string())?;
        let mut command = Command::new("python3");
        command.arg(script).args(args).env("PATH", path).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut load = Self(command.spawn().map_err(|e| format!("python3: {e}"))?);
        let mut line = String::new();
        if wait {
            let out = load.0.stdout.take().ok_or("no output")?;
            BufReader::new(out).read_line(&mut line).map_err(|e| e.to_string())?;
            if line.is_empty() {
                return Err(format!("load.py {args:?} failed"));
            }
        }
        Ok((load, line))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Everything it prints until it exits.
    pub(crate) fn output(mut self) -> Result<String, String> {
        let mut text = String::new();
        let mut out = self.0.stdout.take().ok_or("no output")?;
        out.read_to_string(&mut text).map_err(|e| e.to_string())?;
        Ok(text)
    }
}
