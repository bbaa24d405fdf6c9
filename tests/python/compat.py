"""The server programs of pymysqlrpc and pymprpc, and the clients that their documents show.

compat.py PYTHON: the programs of examples/python are run by PYTHON, which has the wheel, on free
ports; the clients are the mariadb shell, curl, and pymprpc's own.
"""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

PYTHON = sys.argv[1]
EXAMPLES = Path(__file__).resolve().parents[2] / "examples/python"
FUNCTIONS = {
    "testfunc",
    "testcoro",
    "testcorogen",
    "testclassmethod",
    "testclasscoro",
    "testclasscorogen",
}
_open = asyncio.open_connection
passed = failed = 0


async def _without_loop(host=None, port=None, *, loop=None, **more):
    return await _open(host, port, **more)


# pymprpc 0.0.3 passes a loop, which Python takes no more since 3.10, and prints every call.
asyncio.open_connection = _without_loop
OUT, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: SIM115

from pymprpc.client import RPC, AsyncRPC


def check(name):
    def decorate(body):
        global passed, failed
        try:
            result = body()
            if asyncio.iscoroutine(result):
                asyncio.run(asyncio.wait_for(result, 30))
        except Exception as error:  # noqa: BLE001
            failed += 1
            text = f"{type(error).__name__}: {error}".replace("\n", " ")[:300]
            print("FAIL", name, text, file=OUT, flush=True)
        else:
            passed += 1
            print("ok", name, file=OUT, flush=True)

    return decorate


def same(got, want):
    assert got == want, f"got {got!r}, want {want!r}"


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [own.getsockname()[1] for own in sockets]
    for own in sockets:
        own.close()
    return ports


@contextmanager
def running(name, port, *changes):
    """Runs an example with some of its text changed, until its port answers and the body is done."""
    text = (EXAMPLES / name).read_text()
    for old, new in changes:
        assert old in text, f"{name} has no {old}"
        text = text.replace(old, new)
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, name)
        program.write_text(text)
        errors = Path(folder, "errors")
        with errors.open("w") as log:
            server = subprocess.Popen([PYTHON, program.name], cwd=folder, stderr=log)
        try:
            until = time.monotonic() + 30
            while True:
                assert server.poll() is None and time.monotonic() < until, errors.read_text()
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.05)
            yield server
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


MYSQL, WEB, MSGPACK = free_ports(3)


def mysql(user, password, sql):
    login = ["--port", str(MYSQL), "-h", "127.0.0.1", f"-u{user}", f"-p{password}"]
    return run("mariadb", *login, "-t", "-e", sql)


with running(
    "pymysqlrpc_server.py", MYSQL, ("3308), aclmap)", f"{MYSQL}), aclmap, webport={WEB})")
):

    @check("pymysqlrpc.call")
    def _():
        shown = "+------+\n| sum  |\n+------+\n|    7 |\n+------+\n"
        same(mysql("testuser", "testpass", "call myadd(3,4);"), shown)

    @check("pymysqlrpc.info")
    def _():
        shown = mysql("root", "rootpass", "call pymysqlrpcinfo;")
        for name in ("python_version", "server listen", "query stat", "online client"):
            assert f"| {name}" in shown, f"no {name} in {shown}"

    @check("pymysqlrpc.page")
    def _():
        shown = run("curl", "-sS", f"http://127.0.0.1:{WEB}/pymysqlrpc/info/root/viewpass")
        assert re.search(r"^server listen  : ", shown, re.MULTILINE), shown


with running("pymprpc_server.py", MSGPACK, ("5000)", f"{MSGPACK})")):
    ADDRESS = f"tcp://admin:admin@127.0.0.1:{MSGPACK}"

    @check("pymprpc.sync")
    def _():
        with RPC(addr=ADDRESS, debug=True) as rpc:
            assert set(rpc.system.listMethods()) >= FUNCTIONS
            rpc.system.methodSignature("testclassmethod")
            same(rpc.system.methodHelp("testfunc").strip(), "有help")
            assert rpc.system.lenConnections() >= 1
            rpc.system.lenUndoneTasks()
            same(rpc.testclassmethod(1, 2), 3)
            same(rpc.testclasscoro(2, 3), 5)
            same(rpc.testcoro(5, 6), 11)
            same(rpc.testfunc(5, 4), 9)
            same(list(rpc.testcorogen(1, 2)), list(range(3, 13)))

    @check("pymprpc.async")
    async def _():
        loop = asyncio.get_running_loop()
        async with AsyncRPC(addr=ADDRESS, loop=loop, debug=True, heart_beat=40) as rpc:
            assert set(await rpc.system.listMethods()) >= FUNCTIONS
            same((await rpc.system.methodHelp("testfunc")).strip(), "有help")
            same(await rpc.testclassmethod(1, 2), 3)
            same(await rpc.testclasscoro(2, 3), 5)
            same(await rpc.testcoro(5, 6), 11)
            same(await rpc.testfunc(5, 4), 9)
            same([i async for i in await rpc.testcorogen(1, 2)], list(range(3, 13)))


print(f"{passed} passed, {failed} failed", file=OUT)
sys.exit(failed > 0)
