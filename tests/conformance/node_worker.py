#!/usr/bin/env python3
"""`examples/worker/worker.mjs`, a worker in another language, written from its page alone."""
import threading
import time

from support.serve import ROOT, CallError, Checks, Server, until

CONFIG = f"""
[workers]
command = ["node", "{ROOT / 'examples/worker/worker.mjs'}"]
count = 2
ping_s = 1
"""
checks = Checks()


def main():
    with Server(CONFIG, name="node-worker") as server, server.client() as client:
        for name, body in sorted(globals().items()):
            if name.startswith("check_"):
                checks.check(f"node.{name.removeprefix('check_')}", body, server, client)
    checks.check("node.server_ends", lambda: server.process.returncode and 1 / 0)
    checks.end()


def fails(client, *call):
    try:
        result = client.call(*call)
    except CallError as error:
        return error
    raise AssertionError(f"it gave {result}")


def check_calls(server, client):
    assert client.call("add", 3, 4) == 7
    assert client.call("add", 2**62, 2**62) == 2**63
    assert client.call("greet") == "Hello, world! I am ann's worker."
    assert client.call("add", "3", 4.0) == 7


def check_values(server, client):
    values = [None, True, -1, -129, 127, 128, 65536, 2**53, -(2**63), 2**64 - 1, 2**200, -(2**64)]
    values += [0.5, "", "ä" * 300, "x" * 70_000, [], list(range(20)), list(range(70_000))]
    values += [{"a": {"b": [1, None]}}, {str(n): n for n in range(20)}]
    for value in values:
        assert client.call("echo", value) == value, str(value)[:80]


def check_faults(server, client):
    error = fails(client, "fail", "no luck")
    assert (error.kind, error.name, error.message) == ("raised", "RangeError", "no luck"), error
    assert fails(client, "add", "x", 1).kind == "type"
    assert fails(client, "add", 1).kind == "arguments"


def check_streams(server, client):
    assert list(client.stream("count", 1_000)) == list(range(1, 1_001))
    with server.client() as early:
        items = early.stream("count", 10**9)
        assert next(items) == 1
    assert client.call("add", 3, 4) == 7


def check_nested(server, client):
    assert client.call("twice", "add", 5) == 10
    assert client.call("sum_of", "count", 1_000) == 500_500
    assert fails(client, "twice", "no.such", 5).kind == "not_found"


def check_many_at_once(server, client):
    began = time.monotonic()
    clients = [server.client() for _ in range(20)]
    threads = [threading.Thread(target=one.call, args=("wait", 500)) for one in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began < 3


def check_cancelled_by_its_limit(server, client):
    pids = server.ready("node")
    with server.client("hasty") as hasty:
        assert fails(hasty, "wait", 60_000).kind == "timeout"
    until("it is told", lambda: sum(client.call("cancelled") for _ in range(4)))
    assert server.ready("node") == pids, "a call that can be stopped costs no worker"


def check_calls_that_nobody_waits_for(server, client):
    # More than a worker may have at once.
    for _ in range(250):
        client.call("forget", "wait", 60_000)
    assert client.call("add", 3, 4) == 7
    until("all are over", lambda: not any(worker["running"] for worker in server.workers()))


def check_loop_that_is_blocked(server, client):
    pids = server.ready("node")
    thread = threading.Thread(target=server.client().call, args=("block", 8_000))
    thread.start()
    # Once it is seen, calls go to the other.
    time.sleep(3)
    for _ in range(50):
        began = time.monotonic()
        with server.client() as one:
            assert one.call("add", 3, 4) == 7
        assert time.monotonic() - began < 2
    assert thread.is_alive(), "it was blocked too briefly to see anything"
    thread.join()
    assert server.ready("node") == pids


def check_reload(server, client):
    with server.client("root") as root:
        assert "generation 2" in root.call("worker.reload")
    assert client.call("add", 3, 4) == 7


if __name__ == "__main__":
    main()
