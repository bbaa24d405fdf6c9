#!/usr/bin/env python3
"""Functions in Python that behave badly, and what that costs the calls of others: nothing.

    python_workers.py [--seconds 60] [--reloads 50]

$POLYPORT_BIN is the server. Three honest clients call all the time; each of their calls must be
right. Then workers are killed, and the application is reloaded, under 16 MySQL clients.
"""
import argparse
import os
import random
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pymysql

from support.serve import ROOT, CallError, Checks, Server, is_alive, until

APP = Path(__file__).parent / "python_app" / "app.py"
CONFIG = f"""
[workers]
python = "{sys.executable}"
count = 3
leave_s = 1
recycle_bytes = {200 << 20}
"""
CLIENTS = 16

ap = argparse.ArgumentParser()
ap.add_argument("--seconds", type=float, default=15)
ap.add_argument("--reloads", type=int, default=10)
ap.add_argument("--only", default="", help="run the checks whose name holds this")
A = ap.parse_args()
checks = Checks()


def main():
    os.environ["PYTHONPATH"] = str(ROOT / "python")
    with Server(CONFIG, str(APP), name="python-workers") as server:
        with Honest(server):
            for name, user, arguments, kinds in BAD:
                check(f"bad.{name}", one_bad, server, name, user, arguments, kinds)
            for name, body in sorted(globals().items()):
                if name.startswith("check_"):
                    check(name.removeprefix("check_"), body, server)
        check("memory", server_memory, server)
        check("killed", under_kills, server)
    check("reloads", under_reloads)
    check("server_killed", server_killed)
    checks.end()


def check(name, body, *args):
    if A.only in name:
        checks.check(name, body, *args)


class Honest:
    """Clients that call all the time and must never see anything wrong."""

    now = None

    def __init__(self, server):
        Honest.now = self
        self.calls = 0
        self.wrong = []
        self.longest = {}
        self.ends = threading.Event()
        names = ("plus", "later", "in_thread")
        self.threads = [threading.Thread(target=self.run, args=(server, name)) for name in names]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self.ends.set()
        for thread in self.threads:
            thread.join()

    def run(self, server, name):
        n = 0
        with server.client() as client:
            while not self.ends.is_set():
                n += 1
                began = time.monotonic()
                try:
                    result = client.call(name, n, 1)
                    if result != n + 1:
                        self.wrong.append(f"{name}({n}, 1) gave {result}")
                except Exception as error:  # noqa: BLE001
                    self.wrong.append(f"{name}: {error}")
                    client.connection.close()
                self.calls += 1
                self.longest[name] = max(self.longest.get(name, 0), time.monotonic() - began)
                time.sleep(0.002)


def fails(client, *call):
    try:
        result = client.call(*call)
    except CallError as error:
        return error
    raise AssertionError(f"it gave {str(result)[:100]}")


def whole(server, pool="plain", limit_s=10.0):
    """Waits until the pool is whole, and gives how long that took."""
    began = time.monotonic()
    ready = lambda: all(worker["state"] == "ready" for worker in server.workers(pool))  # noqa: E731
    until(f"{pool} is whole", ready, limit_s)
    return time.monotonic() - began


def harms_nobody(server, body):
    """Does something, and sees to it that the honest clients noticed nothing."""
    honest = Honest.now
    before, honest.longest = len(honest.wrong), {}
    body()
    seen = honest.calls
    until("others go on", lambda: honest.calls > seen + 10)
    for pool in {worker["pool"] for worker in server.workers()}:
        whole(server, pool)
    wrong = honest.wrong[before:]
    assert not wrong, f"{len(wrong)} calls of others failed, such as {wrong[0]}"


# Function, user (hasty has a limit of 2 s), arguments, and the kinds of fault that may come of it;
# None is none.
SLOW = ("timeout",)
DEAD = ("unavailable",)
RAISED = ("raised",)
BAD = [
    ("hang", "hasty", [], SLOW),
    ("hang_in_c", "hasty", [], SLOW),
    ("hang_deaf", "hasty", [], SLOW),
    ("stop_process", "hasty", [], SLOW),
    ("thread_hangs", "hasty", [], SLOW),
    ("never_cancelled", "hasty", [], SLOW),
    ("fork_and_return", "ann", [], None),
    ("fork_and_raise", "ann", [], None),
    ("in_processes", "ann", [10], None),
    ("write", "ann", [5_000_000], None),
    ("write_lines", "ann", [100_000], None),
    ("write_binary", "ann", [], None),
    ("close_output", "ann", [], None),
    ("read_input", "ann", [], None),
    ("ask", "ann", [], RAISED),
    ("leave", "ann", [0], (*RAISED, *DEAD)),
    ("leave", "ann", [3], (*RAISED, *DEAD)),
    ("thread_leaves", "ann", [], (*RAISED, *DEAD)),
    ("leave_now", "ann", [0], DEAD),
    ("leave_now", "ann", [4], DEAD),
    ("interrupt", "ann", [], (*RAISED, *DEAD)),
    ("segfault", "ann", [], DEAD),
    ("abort", "ann", [], DEAD),
    ("close_everything", "ann", [], DEAD),
    ("recurse", "ann", [], (*RAISED, *DEAD)),
    ("take_all_memory", "ann", [], RAISED),
    ("unsendable", "ann", [], RAISED),
    ("endless_list", "ann", [], (*RAISED, "too_large")),
    ("raise_oddly", "ann", [], RAISED),
    ("huge", "ann", [200 << 20], ("too_large",)),
    ("huge", "ann", [40 << 20], None),
    ("block_loop", "ann", [1.5], None),
    ("leave_task_behind", "ann", [], None),
]


def one_bad(server, name, user, arguments, kinds):
    def body():
        with server.client(user) as client:
            if kinds is None:
                client.call(name, *arguments)
                return
            error = fails(client, name, *arguments)
            assert error.kind in kinds, error
            if error.kind == "unavailable":
                assert error.ran == "maybe", error.ran

    harms_nobody(server, body)


def check_leak(server):
    def body():
        with server.client() as client:
            pids = set()

            def replaced():
                pids.add(client.call("leak", 2 << 20))
                return len(pids) > 4

            until("some are replaced", replaced)
            most = max(worker["memory_bytes"] for worker in server.workers("plain"))
            assert most < 1 << 30, f"{most} bytes"

    harms_nobody(server, body)


def check_what_a_function_forked_ends_with_its_worker(server):
    def body():
        with server.client() as client:
            child = client.call("fork_and_stay")
            assert is_alive(child)
            for pid in server.ready("plain"):
                os.kill(pid, signal.SIGKILL)
                time.sleep(0.5)
            until("it has ended", lambda: not is_alive(child))

    # The kills may cost honest calls; those are tried elsewhere.
    body()
    whole(server)


def check_streams(server):
    def body():
        for name, kind in (("breaks_off", "raised"), ("exits_within", None), ("dies_within", None)):
            with server.client() as client:
                items = []
                try:
                    for item in client.stream(name, 100):
                        items.append(item)
                except CallError as error:
                    assert kind in (None, error.kind), error
                else:
                    raise AssertionError(f"{name} came to an end")
                assert items == list(range(len(items)))
                assert kind is None or len(items) == 100

    harms_nobody(server, body)


def check_streams_that_nobody_reads(server):
    def body():
        clients = [server.client() for _ in range(20)]
        for client in clients:
            stream = client.stream("numbers")
            assert [next(stream), next(stream)] == [1, 2]
        seen = Honest.now.calls
        until("others go on", lambda: Honest.now.calls > seen + 100)
        for client in clients:
            client.connection.close()

    harms_nobody(server, body)


def check_stream_that_never_closes(server):
    def body():
        with server.client() as client:
            stream = client.stream("never_closes")
            assert next(stream) == 1
        time.sleep(3)

    harms_nobody(server, body)


def check_quick_function_that_hangs(server):
    def body():
        with ThreadPoolExecutor(24) as threads:
            clients = [server.client() for _ in range(24)]
            for _ in range(10):
                list(threads.map(lambda client: client.call("moody"), clients))
            # No limit ends this one.
            hanging = server.client()
            hanging.connection.request("POST", "/v1/call/moody", "[true]", hanging.headers)
            for _ in range(10):
                began = time.monotonic()
                list(threads.map(lambda client: client.call("moody"), clients))
                assert time.monotonic() - began < 3
            hanging.connection.close()

    harms_nobody(server, body)


def check_clients_that_leave(server):
    def body():
        before = server.ready("plain")
        client = server.client()
        client.connection.request("POST", "/v1/call/hang", "[]", client.headers)
        time.sleep(0.3)
        client.connection.close()
        until("its worker is replaced", lambda: server.ready("plain") - before)

    harms_nobody(server, body)


def server_memory(server):
    grown = until("memory", lambda: server.memory()) >> 20
    assert grown < 1500, f"{grown} MiB"
    return f"{grown} MiB after all of this"


# ------------------------------------------------------------------ under load
class Load:
    """Clients of MySQL that call in a loop."""

    def __init__(self, server):
        self.server = server
        self.good = 0
        self.failed = []
        self.wrong = []
        self.slowest = 0
        self.ends = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(CLIENTS)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self.ends.set()
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive(), "a call never ended"

    def run(self, seed):
        port = self.server.ports["mysql"]
        connection = pymysql.connect(
            host="127.0.0.1", port=port, user="ann", password="annpass", read_timeout=30
        )
        # Some are nearly always running when their worker is killed.
        name = "slow_plus" if seed % 4 == 0 else "plus"
        n = seed * 1_000_000
        with connection, connection.cursor() as cursor:
            while not self.ends.is_set():
                n += 1
                began = time.monotonic()
                try:
                    cursor.execute(f"call {name}(%s, %s)", (n, 1))
                    result = cursor.fetchall()
                    if result == ((n + 1,),):
                        self.good += 1
                    else:
                        self.wrong.append(f"{name}({n}, 1) gave {result}")
                except pymysql.err.MySQLError as error:
                    text = str(error)
                    clear = "the worker" in text and "may have run" in text
                    (self.failed if clear else self.wrong).append(text)
                except Exception as error:  # noqa: BLE001
                    self.wrong.append(f"{type(error).__name__}: {error}")
                    return
                self.slowest = max(self.slowest, time.monotonic() - began)


def under_kills(server):
    """Every 200 to 800 ms a worker is killed."""
    generator = random.Random(1)
    whole(server)
    kills, longest = 0, 0
    end = time.monotonic() + A.seconds
    with Load(server) as load, server.client("root") as root:

        def ready():
            rows = root.call("stats.workers")
            return {r["pid"] for r in rows if r["pool"] == "plain" and r["state"] == "ready"}

        while time.monotonic() < end:
            time.sleep(generator.uniform(0.2, 0.8))
            victim = generator.choice(sorted(until("one is there", ready)))
            began = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            kills += 1
            until("whole", lambda: len(pids := ready()) == 3 and victim not in pids)
            longest = max(longest, time.monotonic() - began)
    told = (
        f"{load.good} calls right, {len(load.failed)} with a clear error, {kills} kills, whole "
        f"after {longest:.2f} s at the latest, longest call {load.slowest:.2f} s"
    )
    assert not load.wrong, f"{len(load.wrong)} wrong, such as {load.wrong[0]}; {told}"
    assert load.good > 100 * A.seconds, told
    assert load.failed, f"no call was hit; {told}"
    assert len(load.failed) <= 2 * kills, told
    assert longest < 1, told
    return told


def under_reloads():
    """A new version every second."""
    source = APP.read_text()
    with Server(CONFIG, name="python-reloads", source=source) as server:
        app = server.app
        with Load(server) as load, server.client("root") as root:
            for version in range(2, 2 + A.reloads):
                began = time.monotonic()
                app.write_text(source.replace("VERSION = 1", f"VERSION = {version}"))
                root.call("worker.reload")
                assert root.call("version") == version
                time.sleep(max(0, 1 - (time.monotonic() - began)))
            app.write_text(source + "\n\ndef broken(:\n    pass\n")
            told = fails(root, "worker.reload").message
            line = source.count("\n") + 3
            assert f"{app}, line {line}: SyntaxError" in told, told
            assert root.call("version") == 1 + A.reloads
    bad = load.failed + load.wrong
    assert not bad, f"{len(bad)} of {load.good}, such as {bad[0]}"
    return f"{load.good} calls, {A.reloads} reloads, longest call {load.slowest:.2f} s"


def server_killed():
    """Not even a worker that hangs outlives its server."""
    with Server(CONFIG, str(APP), name="python-killed") as server:
        client = server.client()
        client.connection.request("POST", "/v1/call/hang", "[]", client.headers)
        pids = until("all are there", lambda: [w["pid"] for w in server.workers() if w["pid"]])
        time.sleep(0.3)
        server.process.kill()
        until("all have ended", lambda: not any(map(is_alive, pids)), 10)


if __name__ == "__main__":
    main()
