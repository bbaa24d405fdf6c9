"""The mariadb shell, pymprpc's client and curl against examples/python/tour.py.

tour.py USER PASSWORD MYSQL MSGPACK HTTP      (the last three as HOST:PORT)
"""

import asyncio
import json
import os
import re
import subprocess
import sys

USER, PASSWORD, MYSQL, MSGPACK, HTTP = sys.argv[1:]
HOST, PORT = MYSQL.rsplit(":", 1)
_open = asyncio.open_connection
passed = failed = 0


async def _without_loop(host=None, port=None, *, loop=None, **more):
    return await _open(host, port, **more)


# pymprpc 0.0.3 passes a loop, which Python takes no more since 3.10, and prints every call.
asyncio.open_connection = _without_loop
OUT, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: SIM115

from pymprpc.client import RPC, AsyncRPC
from pymprpc.errors import MethodError


def check(name):
    def decorate(body):
        global passed, failed
        try:
            result = body()
            if asyncio.iscoroutine(result):
                asyncio.run(asyncio.wait_for(result, 20))
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


def run(*words):
    return subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)


def mariadb(sql, *options):
    """The rows that the shell shows, the headings among them."""
    words = ["mariadb", "-h", HOST, "-P", PORT, "-u", USER, f"-p{PASSWORD}", "-B", *options]
    done = run(*words, "-e", sql)
    assert done.returncode == 0, done.stderr
    return [tuple(line.split("\t")) for line in done.stdout.splitlines()]


def refused(sql):
    """The error that the shell shows for one statement."""
    done = run("mariadb", "-h", HOST, "-P", PORT, "-u", USER, f"-p{PASSWORD}", "-B", "-e", sql)
    assert done.returncode, f"no error: {done.stdout}"
    return next(line for line in done.stderr.splitlines() if line.startswith("ERROR"))


def curl(name, body="", *options):
    done = run(
        "curl", "-sS", "-u", f"{USER}:{PASSWORD}", "-d", body, *options, f"http://{HTTP}/v1/{name}"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def post(name, *args):
    """What a call gives through curl: the result, or the fault."""
    answer = json.loads(curl(f"call/{name}", json.dumps(args)))
    return answer.get("result", answer.get("error"))


@check("mariadb.values")
def _():
    same(mariadb("call hello()"), [("result",), ("Hello, world!",)])
    same(mariadb("call hello('Ann')")[1:], [("Hello, Ann!",)])
    same(mariadb("call divide('7', 2.0)")[1:], [("3.5",)])
    same(mariadb("call total('1.50', 3)")[1:], [("4.50",)])
    same(mariadb("call dates.between('2026-01-01', '2026-11-21')")[1:], [("324",)])
    same(mariadb("call nap(0.01)")[1:], [("awake",)])
    assert mariadb("call lookup('127.0.0.1')")[1:] == [("127.0.0.1",)]
    moment = mariadb("call clock.now()")[1][0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?", moment), moment


@check("mariadb.a_table")
def _():
    table = mariadb("call squares(3)")
    same(table, [("n", "square"), ("1", "1"), ("2", "4"), ("3", "9")])


@check("mariadb.two_results")
def _():
    same(mariadb("call minmax(3, 1, 2)"), [("least",), ("1",), ("greatest",), ("3",)])


@check("mariadb.streams")
def _():
    same(mariadb("call countdown(3)"), [("number",), ("3",), ("2",), ("1",)])
    same(len(mariadb("call ticks(3, 0.01)")), 4)


@check("mariadb.errors")
def _():
    same(
        refused("call order('chair', 0)"),
        "ERROR 1234 (HY100) at line 1: 0 chairs cannot be ordered",
    )
    assert "ZeroDivisionError" in refused("call divide(1, 0)")
    assert "takes float" in refused("call divide('seven', 2)")
    assert refused("call divide(1)").startswith("ERROR 1318"), refused("call divide(1)")


@check("mariadb.who_calls")
def _():
    heading, row = mariadb("call whoami()")
    who = dict(zip(heading, row))
    same((who["user"], who["protocol"], who["seconds_left"]), (USER, "mysql", "NULL"))


@check("mariadb.an_object_of_the_connection")
def _():
    put = "call basket.put('egg'); call basket.put('milk'); call basket.items()"
    same(mariadb(put, "-N")[2:], [("egg",), ("milk",)])
    same(mariadb("call basket.items()", "-N"), [])


@check("mariadb.an_object_of_all")
def _():
    mariadb("call counter.value(5)")
    same(mariadb("call counter.add(2); call counter.value()", "-N"), [("7",), ("7",)])
    same(post("counter.value"), 7)


@check("mariadb.help")
def _():
    shown = {row[1]: row[7] for row in mariadb("show procedure status", "-N")}
    same(shown["squares"], "The first n squares, as a table.")


# The sync client reads through telnetlib, which loses zero bytes; so it stays with JSON.
@check("pymprpc.sync")
def _():
    with RPC(addr=f"tcp://{USER}:{PASSWORD}@{MSGPACK}", debug=True) as rpc:
        assert {"hello", "squares", "counter.add"} <= set(rpc.system.listMethods())
        same(rpc.system.methodHelp("hello"), "Greets somebody.")
        same(rpc.hello("Ann"), "Hello, Ann!")
        same(rpc.divide(7, 2), 3.5)
        same(rpc.divide(a=7, b=2), 3.5)
        same(rpc.average(1, 2, 6), 3.0)
        same(rpc.squares(2), [{"n": 1, "square": 1}, {"n": 2, "square": 4}])
        same(list(rpc.countdown(3)), [3, 2, 1])
        same(len(list(rpc.ticks(3, 0.01))), 3)
        same(rpc.basket.put("egg"), 1)
        same(rpc.basket.items(), ["egg"])
        same(rpc.whoami()["protocol"], "msgpack")


@check("pymprpc.errors")
def _():
    with RPC(addr=f"tcp://{USER}:{PASSWORD}@{MSGPACK}", debug=True) as rpc:
        for call in (lambda: rpc.divide(1, 0), lambda: rpc.order("chair", 0), lambda: rpc.none()):
            try:
                call()
            except MethodError:
                continue
            raise AssertionError("no error")
        same(rpc.hello(), "Hello, world!")


@check("pymprpc.async")
async def _():
    loop = asyncio.get_running_loop()
    address = f"tcp://{USER}:{PASSWORD}@{MSGPACK}"
    for debug in (True, False):
        async with AsyncRPC(addr=address, loop=loop, debug=debug, heart_beat=40) as rpc:
            assert {"hello", "squares"} <= set(await rpc.system.listMethods())
            same(await rpc.squares(2), [{"n": 1, "square": 1}, {"n": 2, "square": 4}])
            began = loop.time()
            same(await asyncio.gather(*(rpc.nap(0.3) for _ in range(10))), ["awake"] * 10)
            assert loop.time() - began < 2, "the naps ran one after the other"
            same([number async for number in await rpc.countdown(3)], [3, 2, 1])


@check("curl.values")
def _():
    same(post("hello"), "Hello, world!")
    same(json.loads(curl("call/hello", '{"name": "Ann"}'))["result"], "Hello, Ann!")
    same(curl("call/total", '["1.50", 3]'), '{"result":4.50}')
    same(post("squares", 2), [{"n": 1, "square": 1}, {"n": 2, "square": 4}])
    same(post("minmax", 3, 1, 2), [[{"least": 1.0}], [{"greatest": 3.0}]])
    same(post("average", 1, 2, 6), 3.0)
    assert "127.0.0.1" in post("lookup", "127.0.0.1")


@check("curl.streams")
def _():
    lines = curl("call/countdown", "[3]", "-H", "Accept: application/x-ndjson")
    same(lines, "3\n2\n1\n")
    events = curl("call/ticks", "[2, 0.01]", "-H", "Accept: text/event-stream")
    same((events.count('data: "'), events.count("event: end")), (2, 1))
    same(post("countdown", 3), [3, 2, 1])


@check("curl.errors")
def _():
    fault = post("order", "chair", 0)
    want = ("raised", "LogicError", 1234, "0 chairs cannot be ordered")
    same((fault["kind"], fault["class"], fault["errno"], fault["message"]), want)
    same(post("divide", 1, 0)["class"], "ZeroDivisionError")
    same(post("divide", "x", 0)["kind"], "type")
    same(post("divide", 1)["kind"], "arguments")
    same(post("nothing.there")["kind"], "not_found")


@check("curl.functions")
def _():
    listed = json.loads(curl("functions", "", "-G"))
    names = {function["name"] for function in listed["functions"]}
    assert {"hello", "dates.between", "counter.value", "clock.now"} <= names, names


print(f"{passed} passed, {failed} failed", file=OUT)
sys.exit(failed > 0)
