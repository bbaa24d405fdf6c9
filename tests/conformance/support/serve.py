"""A server of its own for a script, and a client of its HTTP. Only the standard library."""
import base64
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CONFIG = """
[users.root]
password = "rootpass"
rights = ["admin"]

[users.ann]
password = "annpass"
rights = ["call *"]

[users.hasty]
password = "hastypass"
rights = ["call *"]
time_limits = { http = 2 }
"""


class CallError(Exception):
    """A call that failed; the fields of its fault are attributes."""

    def __init__(self, fault):
        super().__init__(f"{fault['kind']}: {fault['message']}")
        self.kind = fault["kind"]
        self.message = fault["message"]
        self.name = fault.get("class")
        self.ran = fault.get("ran")


class Server:
    """`polyport serve` with a configuration, on free ports. A source is written to a file of its
    own, which is served."""

    def __init__(self, config, *words, name, source=None):
        environment = {**os.environ, "NO_COLOR": "1"}
        # What begins with POLYPORT_ is a setting to the server.
        binary = environment.pop("POLYPORT_BIN", "polyport")
        self.folder = tempfile.TemporaryDirectory(prefix="polyport-")
        path = Path(self.folder.name) / "polyport.toml"
        path.write_text(config + CONFIG)
        if source is not None:
            self.app = Path(self.folder.name) / "app.py"
            self.app.write_text(source)
            words = (str(self.app), *words)
        command = [binary, "serve", *words, "--config", str(path), "--data", self.folder.name]
        for protocol in ("mysql", "msgpack", "http"):
            command += ["--listen", f"{protocol}=127.0.0.1:0"]
        self.log = Path(tempfile.gettempdir()) / f"{name}.log"
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.log.open("wb"),
            env=environment,
            text=True,
        )
        self.ports = {}
        for line in self.process.stdout:
            words = line.split()
            if words[:1] == ["ready"]:
                break
            if words[:1] == ["listening"]:
                self.ports[words[1]] = int(words[2].rsplit(":", 1)[1])
        else:
            raise SystemExit(f"the server did not get ready:\n{self.log.read_text()}")
        # What comes later is read and dropped, so that the server never waits.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.folder.cleanup()

    def client(self, user="ann"):
        return Client(self.ports["http"], user)

    def workers(self, pool=None):
        """The places for workers, as `stats.workers` tells them."""
        with self.client("root") as root:
            rows = root.call("stats.workers")
        return [row for row in rows if pool in (None, row["pool"])]

    def ready(self, pool):
        return {row["pid"] for row in self.workers(pool) if row["state"] == "ready"}

    def memory(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            fields = dict(line.split(":", 1) for line in status)
        return int(fields["VmRSS"].split()[0]) * 1024


class Client:
    """One connection that is kept open."""

    def __init__(self, port, user):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        login = base64.b64encode(f"{user}:{user}pass".encode()).decode()
        self.headers = {"Authorization": f"Basic {login}"}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.connection.close()

    def call(self, name, *args):
        answer = self._ask(name, args, {})
        body = json.loads(answer.read())
        if "error" in body:
            raise CallError(body["error"])
        return body["result"]

    def stream(self, name, *args):
        """The items one by one; leaving early closes the connection."""
        answer = self._ask(name, args, {"Accept": "application/x-ndjson"})
        for line in answer:
            item = json.loads(line)
            if type(item) is dict and list(item) == ["error"]:
                raise CallError(item["error"])
            yield item

    def _ask(self, name, args, headers):
        body = json.dumps(args)
        self.connection.request("POST", f"/v1/call/{name}", body, {**self.headers, **headers})
        return self.connection.getresponse()


class Checks:
    """Runs checks and counts them."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, name, body, *args):
        try:
            told = body(*args)
        except Exception as error:  # noqa: BLE001
            self.failed += 1
            print("FAIL", name, f"{type(error).__name__}: {error}".split("\n")[0], flush=True)
        else:
            self.passed += 1
            print("ok", name, *([f"({told})"] if told else []), flush=True)

    def end(self):
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed else 0)


def until(what, condition, limit_s=20):
    """Waits for a condition, and gives what it gave."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if met := condition():
            return met
        time.sleep(0.02)
    raise AssertionError(f"waited {limit_s} s until {what}")


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
