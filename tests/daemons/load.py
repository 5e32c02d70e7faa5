"""Clients of the daemons, and applications with one fault each. Runs until standard input ends, unless a time is given."""

import ctypes, json, os, socket, struct, subprocess, sys, threading, time

HOST = "127.0.0.1"
PG = ["psql", "-h", HOST, "-U", "postgres", "-X", "-q", "-t", "-A"]
done = {}
stop = threading.Event()


def connect(port, timeout=20):
    return socket.create_connection((HOST, port), timeout)


def ask(s, request, end):
    s.sendall(request)
    answer = b""
    while end not in answer:
        got = s.recv(65536)
        if not got:
            raise OSError("closed")
        answer += got
    return answer


def http(s, path="/"):
    return ask(s, b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode(), b"Waiting" if path == "/stub" else b"ok\n")


def mqtt(s, name):
    body = struct.pack("!H4sBBHH", 4, b"MQTT", 4, 2, 60, len(name)) + name
    s.sendall(bytes([0x10, len(body)]) + body)
    if s.recv(4)[:1] != b"\x20":
        raise OSError("no CONNACK")


def query(n):
    return struct.pack("!6H", n & 0xFFFF, 0x100, 1, 0, 0, 0) + b"\x01a\x04test\x00" + struct.pack("!2H", 1, 1)


def again(name, act, pause):
    """Repeats an act. Connections fail while their daemon restarts."""
    done[name] = 0

    def run():
        while not stop.is_set():
            try:
                act()
                done[name] += 1
            except (OSError, subprocess.SubprocessError):
                time.sleep(0.2)
            stop.wait(pause)

    threading.Thread(target=run, daemon=True).start()


def pool(name, port, size, use, open_one=connect):
    """A pool of connections that are used in turn."""
    held = []

    def act():
        for i in range(size):
            if i >= len(held):
                held.append(open_one(port))
            try:
                use(held[i])
            except OSError:
                held[i].close()
                held[i] = open_one(port)
                raise

    again(name, act, 0.5)


def burst(name, port, size, use):
    """Many clients at once, each for a moment."""

    def act():
        all_of_them = [connect(port) for _ in range(size)]
        for s in all_of_them:
            use(s)
        for s in all_of_them:
            s.close()

    again(name, act, 4)


def redis(s):
    ask(s, b"INCR n\r\n", b"\r\n")


def memcached(s):
    ask(s, b"set k 0 0 2\r\nok\r\n", b"STORED\r\n")


def open_mqtt(port):
    s = connect(port)
    mqtt(s, b"pool%d" % s.getsockname()[1])
    return s


def ping_mqtt(s):
    s.sendall(b"\xc0\x00")
    if not s.recv(2):
        raise OSError("closed")


def dns_udp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(2)
        for n in range(50):
            s.sendto(query(n), (HOST, 5353))
            s.recv(512)


def dns_tcp(s):
    q = query(7)
    s.sendall(struct.pack("!H", len(q)) + q)
    if not s.recv(512):
        raise OSError("closed")


def syslog():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for n in range(20):
            s.sendto(b"<13>test: message %d" % n, (HOST, 5140))


def run(*command):
    return lambda: subprocess.run(command, check=True, timeout=60, capture_output=True)


def busy(seconds, ssh):
    run("pgbench", "-h", HOST, "-U", "postgres", "-i", "-q", "postgres")()
    pool("haproxy", 8081, 40, http)
    burst("haproxy burst", 8081, 100, http)
    pool("nginx", 8080, 20, http)
    pool("redis", 6379, 30, redis)
    burst("redis burst", 6379, 100, redis)
    pool("memcached", 11211, 20, memcached)
    burst("memcached burst", 11211, 100, memcached)
    pool("mosquitto", 1883, 20, ping_mqtt, open_mqtt)
    again("mosquitto_pub", run("mosquitto_pub", "-p", "1883", "-t", "a", "-m", "x"), 1)
    again("unbound", dns_udp, 0.2)
    burst("unbound tcp", 5353, 5, dns_tcp)
    again("rsyslog", syslog, 0.2)
    again("ssh", run(*ssh.split(), "true"), 1)
    again("ssh session", run(*ssh.split(), "sleep", "20"), 1)
    copy = "create temp table t (n text); copy t from program 'seq 1 300000'; copy t to stdout;"
    again("postgres copy", run(*PG, "-c", copy), 3)
    bulk = "seq 1 200000 | %s -c 'create temp table t (n text)' -c 'copy t from stdin'" % " ".join(PG)
    again("postgres copy in", run("sh", "-c", bulk), 3)
    again("pgbench", run("pgbench", "-h", HOST, "-U", "postgres", "-n", "-S", "-c", "10", "-T", "5", "-C", "postgres"), 5)
    again("pgbench pool", run("pgbench", "-h", HOST, "-U", "postgres", "-n", "-S", "-c", "10", "-R", "100", "-T", "10", "postgres"), 1)
    time.sleep(seconds)
    stop.set()
    print(json.dumps(done), flush=True)


def mqtt_clients(s):
    """Number of clients that the broker publishes: the last one once it has not changed for three intervals."""
    topic = b"$SYS/broker/clients/connected"
    s.sendall(struct.pack("!BBHH", 0x82, len(topic) + 5, 1, len(topic)) + topic + b"\x00")
    s.settimeout(3)
    data, number = b"", 0
    while True:
        try:
            data += s.recv(4096)
        except TimeoutError:
            if number:
                return number
            continue
        # SUBACK and PUBLISH, each shorter than 128 bytes.
        while len(data) >= 2 and len(data) >= 2 + data[1]:
            kind, packet, data = data[0] >> 4, data[2 : 2 + data[1]], data[2 + data[1] :]
            if kind == 3:
                number = int(packet[2 + len(topic) :])


def haproxy_clients():
    with socket.socket(socket.AF_UNIX) as s:
        s.connect("/run/d/haproxy.sock")
        s.sendall(b"show stat\n")
        stat = s.makefile().read().splitlines()
    front = next(l.split(",") for l in stat if l.startswith("f,FRONTEND,"))
    return int(front[4])


def idle(ssh):
    """Idle clients of every daemon, and how many the daemons count themselves; and a forward of ssh -R."""
    held = [connect(8080) for _ in range(7)]
    for s in held:
        http(s)
    # The least of several: a health check of haproxy is one of them for a moment.
    active = []
    for _ in range(5):
        active.append(int(http(held[0], "/stub").split(b"Active connections: ")[1].split()[0]))
        time.sleep(0.2)
    count = {"nginx 8080": min(active)}
    through = [connect(8081) for _ in range(6)]
    # It accepts them after the handshake, when it gets to it.
    for _ in range(100):
        count["haproxy 8081"] = haproxy_clients()
        if count["haproxy 8081"] >= len(through):
            break
        time.sleep(0.1)
    keys = [connect(6379) for _ in range(9)]
    for s in keys:
        redis(s)
    info = ask(keys[0], b"INFO clients\r\n", b"tracking_clients")
    count["redis 6379"] = int(info.split(b"connected_clients:")[1].split()[0])
    sessions = [subprocess.Popen(PG, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for p in sessions:
        p.stdin.write("select 1;\n")
        p.stdin.flush()
        p.stdout.readline()
    sessions[0].stdin.write("select count(*) from pg_stat_activity where backend_type = 'client backend';\n")
    sessions[0].stdin.flush()
    count["postgres 5432"] = int(sessions[0].stdout.readline())
    cache = [connect(11211) for _ in range(8)]
    for s in cache:
        memcached(s)
    states = [l for l in ask(cache[0], b"stats conns\r\n", b"END\r\n").splitlines() if b":state" in l]
    count["memcached 11211"] = sum(b"listening" not in l for l in states)
    queue = [open_mqtt(1883) for _ in range(5)]
    count["mosquitto 1883"] = mqtt_clients(queue[0])
    command, *rest = ssh.split()
    forward = subprocess.Popen([command, "-N", "-R", "127.0.0.1:9100:127.0.0.1:8080", *rest])
    # Closed by nginx: TIME_WAIT, and FIN_WAIT2 where the client keeps its end open. Neither is a client, and both last a minute.
    kept = []
    for n in range(50):
        s = connect(8080)
        s.sendall(b"GET / HTTP/1.0\r\n\r\n")
        while s.recv(4096):
            pass
        kept.append(s)
        if n >= 5:
            s.close()
    print(json.dumps(count), flush=True)
    sys.stdin.read()
    forward.terminate()
    forward.wait()


def hold(port, n, request=""):
    """Clients that ask once and wait."""
    held = []
    for _ in range(n):
        s = socket.socket()
        s.setblocking(False)
        try:
            s.connect((HOST, port))
        except BlockingIOError:
            pass
        except OSError:
            continue
        held.append(s)
    time.sleep(0.5)
    for s in held:
        try:
            s.send(request.encode().decode("unicode_escape").encode())
        except OSError:
            pass
    print("ready", flush=True)
    sys.stdin.read()


def leak(port):
    """Does not close connections that its clients have closed: one more every second."""
    server = socket.create_server((HOST, port), backlog=64)
    held = []

    def run():
        while True:
            c = connect(port)
            held.append(server.accept()[0])
            c.close()
            time.sleep(1)

    threading.Thread(target=run, daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()


def time_wait(port, n):
    """Closes first, so that TIME_WAIT is at this end."""
    for _ in range(n):
        s = connect(port)
        http(s)
        s.close()
    print("ready", flush=True)


def flood(port, n):
    """Bursts of datagrams."""
    print("ready", flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    while True:
        for _ in range(n):
            s.sendto(b"<13>test: " + b"x" * 900, (HOST, port))
        time.sleep(0.5)


def trace(pid):
    """Stops a process as a debugger does."""
    libc = ctypes.CDLL(None, use_errno=True)
    attach, detach = 16, 17
    if libc.ptrace(attach, pid, None, None) != 0:
        raise OSError(ctypes.get_errno(), "PTRACE_ATTACH")
    os.waitpid(pid, 0x40000000)
    print("ready", flush=True)
    sys.stdin.read()
    libc.ptrace(detach, pid, None, None)


def blocked(port, fifo):
    """Sleeps uninterruptibly, as for a disk that does not answer: until its child by vfork(2) has opened a FIFO."""
    server = socket.create_server((HOST, port), backlog=64)
    print("ready", flush=True)
    os.posix_spawn("/bin/true", ["true"], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 9, fifo, os.O_RDONLY, 0)])
    while True:
        server.accept()[0].close()


command, *args = sys.argv[1:]
args = [int(a) if a.isdigit() else a for a in args]
{f.__name__: f for f in (busy, idle, hold, leak, time_wait, flood, trace, blocked)}[command](*args)
