"""The worker as a process: how it starts, ends, and shares the machine with what it starts."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from server import PACKAGE_FOLDER, Worker

from polyport import frames, values
from polyport.frames import DRAIN, PING, PONG, WELCOME

Start = Callable[..., Worker]

APP = """
    import multiprocessing, os, subprocess, sys, time
    import polyport

    @polyport.function
    def add(a, b): return a + b

    def square(n): return n * n

    @polyport.function
    def squares(method, n):
        with multiprocessing.get_context(method).Pool(2) as pool:
            return pool.map(square, range(n))

    @polyport.function
    def fork_and_return():
        pid = os.fork()
        if pid == 0: return "from the child"
        return os.waitpid(pid, 0)[1]

    @polyport.function
    def fork_and_raise(what):
        pid = os.fork()
        if pid == 0: raise what and SystemExit(7) or ValueError("in the child")
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    @polyport.function
    def fork_and_stream():
        yield 1
        pid = os.fork()
        if pid == 0: yield "from the child"
        else: yield os.waitpid(pid, 0)[1]

    @polyport.function
    def read_input(): return [sys.stdin.read(), os.read(0, 5)]

    @polyport.function
    def child_input(): return subprocess.run(["cat"], capture_output=True).stdout

    @polyport.function
    def descriptors_of_child():
        return subprocess.run(
            [sys.executable, "-c", "import os; print(len(os.listdir('/proc/self/fd')))"],
            capture_output=True, close_fds=False, text=True,
        ).stdout

    @polyport.function
    def die(): os._exit(9)

    @polyport.function
    async def afork():
        pid = os.fork()
        if pid == 0: return "from the child"
        return os.waitpid(pid, 0)[1]

    @polyport.function(threads=2)
    def tfork():
        pid = os.fork()
        if pid == 0: return "from the child"
        return os.waitpid(pid, 0)[1]
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_works_within_a_function(start: Start, method: str) -> None:
    worker = start(APP)
    assert worker.call("squares", method, 5) == [0, 1, 4, 9, 16]
    assert worker.call("add", 1, 2) == 3


def test_a_forked_child_does_not_go_on_serving(start: Start) -> None:
    worker = start(APP)
    assert worker.call("fork_and_return") == 0
    assert worker.call("fork_and_raise", False) == 1
    assert worker.call("fork_and_raise", True) == 7
    assert worker.items(worker.begin("fork_and_stream")) == [1, 0]
    assert worker.call("add", 1, 2) == 3
    assert start(APP, "async").call("afork") == 0
    assert start(APP, "threads:2").call("tfork") == 0


def test_standard_input_is_empty_and_the_socket_is_not_inherited(start: Start) -> None:
    worker = start(APP)
    assert worker.call("read_input") == ["", b""]
    assert worker.call("child_input") == b""
    assert int(worker.call("descriptors_of_child")) == 4


@pytest.mark.parametrize("pool", ["plain", "async", "threads:2"])
def test_a_closed_socket_ends_the_worker(start: Start, pool: str) -> None:
    worker = start(APP, pool)
    worker.socket.close()
    assert worker.status() == 0


def test_a_worker_that_is_drained_before_welcome_ends(start: Start) -> None:
    worker = start(APP, None)
    worker.send([PING, 1])
    assert worker.receive() == [PONG, 1]
    worker.send([DRAIN])
    assert worker.status() == 0


def test_a_worker_without_its_server_says_what_it_is_for() -> None:
    for environment in ({}, {"POLYPORT_WORKER": "1"}):
        command = [sys.executable, "-m", "polyport.worker", "app.py"]
        path = {"PYTHONPATH": PACKAGE_FOLDER, "PATH": os.environ["PATH"]}
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=path | environment,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert "polyport serve app.py" in done.stderr


# Applications that are no good.


@pytest.mark.parametrize(
    ("source", "class_", "text", "line"),
    [
        ("import polyport\n\n1 / 0\n", "ZeroDivisionError", "division by zero", 3),
        ("def f(:\n    pass\n", "SyntaxError", "invalid", 1),
        ("import nowhere_to_be_found\n", "ModuleNotFoundError", "nowhere_to_be_found", 1),
        ("raise SystemExit('stop here')\n", "SystemExit", "stop here", 1),
        ("import helper\n", "ValueError", "in the helper", 2),
        ("x = 1\n", "LookupError", "no function to serve", 0),
        (
            "import polyport\n@polyport.function\ndef a(): pass\npolyport.register(a)\n",
            "ValueError",
            "two functions have the name 'a'",
            4,
        ),
    ],
)
def test_a_broken_application_says_where_it_is_broken(
    start: Start, tmp_path: Path, source: str, class_: str, text: str, line: int
) -> None:
    helper = tmp_path / "helper.py"
    helper.write_text("\nraise ValueError('in the helper')\n")
    worker = start(source, None)
    assert set(worker.hello) == {"error", "files"}
    error = worker.hello["error"]
    assert (error["kind"], error["class"]) == ("raised", class_)
    assert text in error["message"]
    own = helper if "helper" in text else tmp_path / "app.py"
    assert error["attributes"] | {"file": str(own), "line": line} == error["attributes"]
    assert class_ in error["trace"]
    assert str(tmp_path / "app.py") in worker.hello["files"]
    assert worker.status() == 1


def test_a_missing_application_says_so(start: Start, tmp_path: Path) -> None:
    worker = start("", None, app="nowhere.py")
    assert worker.hello["error"]["class"] == "FileNotFoundError"
    assert worker.hello["error"]["attributes"]["file"] == str(tmp_path / "nowhere.py")
    worker = start("", None, app="no.such.module")
    assert worker.hello["error"]["class"] == "ModuleNotFoundError"


# Applications that are good.


def test_hello_describes_the_application(start: Start, tmp_path: Path) -> None:
    (tmp_path / "stock.py").write_text("import json\n")
    worker = start("import stock, json\n" + "def add(a: int, b: int = 2) -> int:\n return a", None)
    version = ".".join(map(str, sys.version_info[:3]))
    assert worker.hello == {
        "protocol": 1,
        "runtime": f"CPython {version}",
        "functions": [
            {
                "name": "add",
                "pool": "plain",
                "params": [
                    {"name": "a", "type": "int"},
                    {"name": "b", "type": "int", "default": 2},
                ],
                "returns": "int",
            }
        ],
        "pools": {"plain": {"concurrency": 1}},
        "progress": True,
        "files": [str(tmp_path / "app.py"), str(tmp_path / "stock.py")],
    }


def test_a_module_can_be_named_with_dots(start: Start, tmp_path: Path) -> None:
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "prices.py").write_text("RATE = 2\n")
    (package / "web.py").write_text("from .prices import RATE\ndef price(n): return n * RATE\n")
    worker = start("", app="shop.web")
    assert worker.call("price", 4) == 8
    assert str(package / "prices.py") in worker.hello["files"]


def test_a_file_named_like_a_module_of_python_takes_nobodys_place(start: Start) -> None:
    worker = start("import json\ndef f(): return json.dumps([1])\n", app="json.py", pool=None)
    # The file's own folder comes first, as for `python json.py`; what is loaded already stays.
    assert [f["name"] for f in worker.hello.get("functions", [])] in (["f"], [])


# Servers that are no good.


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        frames.frame(b"\xc1"),
        frames.frame(values.pack([2, 1, "add"])),
        frames.frame(values.pack([2, "x", "add", [], None, [1, "u", "p", "a", None, 1, 0]])),
        frames.frame(values.pack([2, 1, "add", [], None, [1]])),
        frames.frame(values.pack("x")),
        b"\xce\xff\xff\xff\xff",
    ],
)
@pytest.mark.parametrize("pool", ["plain", "async", "threads:2"])
def test_a_frame_that_makes_no_sense_ends_the_worker(start: Start, data: bytes, pool: str) -> None:
    worker = start(APP, pool)
    worker.socket.sendall(data)
    assert worker.status() == 1
    assert worker.output()[1].startswith("polyport worker: ")


@pytest.mark.parametrize(
    "array",
    [[WELCOME, 5], [WELCOME, {"pool": "elsewhere"}], [WELCOME, {}], [7, 1], [5, 1, None]],
)
def test_a_welcome_that_makes_no_sense_ends_the_worker(start: Start, array: list[Any]) -> None:
    worker = start(APP, None)
    worker.send(array)
    assert worker.status() == 1
    assert worker.output()[1].startswith("polyport worker: ")


def test_changed_bytes_end_a_worker_or_are_answered(start: Start) -> None:
    chance = random.Random(5)
    for _ in range(25):
        worker = start(APP)
        arrays = [worker.call_frame(i, "add", i, "x") for i in (1, 2, 3)] + [[PING, 5], [DRAIN]]
        data = bytearray(b"".join(frames.frame(values.pack(array)) for array in arrays))
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        worker.socket.sendall(data)
        worker.socket.shutdown(socket.SHUT_WR)
        assert worker.status() in (0, 1)
        assert "Traceback" not in worker.output()[1]


def test_the_program_is_found_and_told_which_python_to_use(tmp_path: Path) -> None:
    program = tmp_path / "polyport"
    program.write_text('#!/bin/sh\necho "$POLYPORT_PYTHON" "$@"\n')
    program.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "polyport", "serve", "app.py"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONPATH": PACKAGE_FOLDER},
        capture_output=True,
        text=True,
        check=False,
    )
    beside = Path(sys.executable).parent / "polyport"
    if not beside.exists():
        assert done.stdout == f"{sys.executable} serve app.py\n"


def test_a_worker_that_is_killed_leaves_nothing_behind(start: Start) -> None:
    worker = start(APP)
    worker.begin("die")
    assert worker.status() == 9
    worker = start(APP)
    os.kill(worker.process.pid, signal.SIGTERM)
    assert worker.status() == -signal.SIGTERM
