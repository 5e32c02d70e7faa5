"""A host with something to see in every metric: run until the end of standard input."""
import os
import resource
import socket
import sys
import threading
import time


def name(comm):
    with open("/proc/self/comm", "w") as f:
        f.write(comm)


def child(comm, run):
    if os.fork() == 0:
        name(comm)
        run()
        os._exit(0)


def leaky():
    """98 of 100 descriptors."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    while os.open("/dev/null", os.O_RDONLY) < 97:
        pass
    time.sleep(3600)


def filling():
    """Fills its descriptors, but not within the time of the test."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    while True:
        os.open("/dev/null", os.O_RDONLY)
        time.sleep(0.1)


def server():
    """Never accepts from one listener; keeps connections that clients have closed; serves short ones."""
    full = socket.create_server(("127.0.0.1", 7000), backlog=4)
    forgets = socket.create_server(("127.0.0.1", 7001), backlog=64)
    serves = socket.create_server(("0.0.0.0", 7002), backlog=64)
    ready.set()
    kept = []

    def forget():
        while True:
            kept.append(forgets.accept()[0])

    threading.Thread(target=forget, daemon=True).start()
    while True:
        conn, _ = serves.accept()
        conn.recv(16)
        conn.close()
    del full


ready = threading.Event()
threading.Thread(target=server, daemon=True).start()
ready.wait()
child("leaky", leaky)
child("filling", filling)
waiting = []
for _ in range(8):
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex(("127.0.0.1", 7000))
    waiting.append(s)
for _ in range(30):
    socket.create_connection(("127.0.0.1", 7001)).close()


def short():
    while True:
        with socket.create_connection(("127.0.0.1", 7002)) as s:
            s.send(b"x")
            s.recv(1)
        with socket.socket() as s:
            s.connect_ex(("127.0.0.1", 1))
        time.sleep(0.05)


threading.Thread(target=short, daemon=True).start()
name("load")
print("ready", flush=True)
sys.stdin.read()
os.killpg(0, 9)
