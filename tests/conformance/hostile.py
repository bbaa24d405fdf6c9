#!/usr/bin/env python3
"""Hostile input on every port of a running conformance server.

    hostile.py --pid P --mysql HOST:PORT --msgpack HOST:PORT --http HOST:PORT

While bad connections of every kind come in, honest clients log in and call, without a pause. At
the end: the process lives, its memory grew by at most 256 MiB, every bad connection was answered
or closed within 10 s (plus a second for the monitor's turn), and no honest client waited over 2 s.

Only the standard library is used; the honest MySQL client is PyMySQL.
"""
import argparse
import asyncio
import base64
import bz2
import json
import lzma
import os
import random
import struct
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

LIMIT_CLOSE = 10 + 1.5
LIMIT_HONEST = 2.0
LIMIT_MEMORY = 256 << 20
END = b"##PRO-END##"
LOGIN = json.dumps(
    {"MPRPC": "0.1", "AUTH": {"USERNAME": "admin", "PASSWORD": "admin"}}
).encode() + END

ap = argparse.ArgumentParser()
ap.add_argument("--pid", type=int, required=True)
ap.add_argument("--mysql", required=True)
ap.add_argument("--msgpack", required=True)
ap.add_argument("--http", required=True)
ap.add_argument("--seed", type=int, default=1)
A = ap.parse_args()
RNG = random.Random(A.seed)
PORTS = {name: tuple(getattr(A, name).rsplit(":", 1)) for name in ("mysql", "msgpack", "http")}
passed = failed = 0


def report(name, why=None):
    global passed, failed
    if why is None:
        passed += 1
        print("ok", name, flush=True)
    else:
        failed += 1
        print("FAIL", name, why, flush=True)


def memory():
    with open(f"/proc/{A.pid}/status") as status:
        fields = dict(line.split(":", 1) for line in status)
    return int(fields["VmRSS"].split()[0]) * 1024


async def connect(port):
    host, number = PORTS[port]
    return await asyncio.open_connection(host, int(number))


# ------------------------------------------------------------------ honest clients
class Honest:
    """Logs in and calls, again and again, and remembers the longest wait."""

    def __init__(self):
        self.worst = {}
        self.errors = []
        self.rounds = 0
        # A thread of its own: the hostile statements fill the usual pool.
        self.thread = ThreadPoolExecutor(1)

    async def run(self, stop):
        while not stop.is_set():
            for name, call in (("mysql", self.mysql), ("msgpack", self.msgpack), ("http", self.http)):
                began = time.monotonic()
                try:
                    await asyncio.wait_for(call(), 30)
                except Exception as error:  # noqa: BLE001
                    self.errors.append(f"{name}: {type(error).__name__}: {error}")
                self.worst[name] = max(self.worst.get(name, 0), time.monotonic() - began)
            self.rounds += 1
            await asyncio.sleep(0.05)

    async def mysql(self):
        import pymysql

        def go():
            host, port = PORTS["mysql"]
            connection = pymysql.connect(
                host=host, port=int(port), user="testuser", password="testpass"
            )
            with connection.cursor() as cursor:
                cursor.execute("call myadd(3,4)")
                assert cursor.fetchall() == ((7,),)
            connection.close()

        await asyncio.get_running_loop().run_in_executor(self.thread, go)

    async def msgpack(self):
        reader, writer = await connect("msgpack")
        call = {"MPRPC": "0.1", "ID": "1", "METHOD": "testfunc", "RETURN": True, "ARGS": [3, 4]}
        writer.write(LOGIN + json.dumps(call).encode() + END)
        await reader.readuntil(END)
        answer = json.loads((await reader.readuntil(END))[: -len(END)])
        assert answer["MESSAGE"]["RESULT"] == 7, answer
        writer.close()

    async def http(self):
        reader, writer = await connect("http")
        login = base64.b64encode(b"testuser:testpass").decode()
        writer.write(
            f"POST /v1/call/myadd HTTP/1.0\r\nHost: localhost\r\nAuthorization: Basic {login}\r\n"
            f"Content-Length: 6\r\n\r\n[3, 4]".encode()
        )
        answer = await reader.read()
        assert b'"sum":7' in answer.replace(b" ", b""), answer
        writer.close()


# ------------------------------------------------------------------ bad connections
async def until_closed(reader, limit):
    """Waits for an answer that ends in a close; returns the bytes and whether it closed."""
    data = b""
    deadline = time.monotonic() + limit
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            return data, False
        try:
            piece = await asyncio.wait_for(reader.read(65536), left)
        except asyncio.TimeoutError:
            return data, False
        except (ConnectionError, OSError):
            return data, True
        if not piece:
            return data, True
        data = (data + piece)[-65536:]


async def send(writer, data, pause=0.0, piece=0):
    try:
        if not piece:
            writer.write(data)
            await asyncio.wait_for(writer.drain(), 15)
            return
        for at in range(0, len(data), piece):
            writer.write(data[at : at + piece])
            await writer.drain()
            await asyncio.sleep(pause)
    except (ConnectionError, OSError, asyncio.TimeoutError):
        pass


async def bad(port, data, greeting=False, answered_is_enough=True, pause=0.0, piece=0):
    """One bad connection. None when it was answered or closed in time, else what happened."""
    try:
        reader, writer = await connect(port)
    except OSError as error:
        return f"cannot connect: {error}"
    try:
        if greeting:
            await asyncio.wait_for(reader.read(4096), 5)
        sender = asyncio.ensure_future(send(writer, data, pause, piece))
        answer, closed = await until_closed(reader, LIMIT_CLOSE)
        sender.cancel()
        if closed or (answered_is_enough and answer):
            return None
        return f"neither answered nor closed within {LIMIT_CLOSE} s"
    except (ConnectionError, OSError, asyncio.TimeoutError):
        return None
    finally:
        writer.close()


async def many(name, jobs, at_once=200):
    gate = asyncio.Semaphore(at_once)

    async def one(job):
        async with gate:
            return await job

    results = await asyncio.gather(*[one(job) for job in jobs])
    bad_ones = [r for r in results if r]
    report(name, f"{len(bad_ones)} of {len(results)}: {bad_ones[0]}" if bad_ones else None)


def packet(body, sequence=0):
    return struct.pack("<I", len(body))[:3] + bytes([sequence]) + body


MYSQL_LOGIN = packet(
    struct.pack("<IIB23x", 0x00088200 | 1, 1 << 24, 45) + b"testuser\0" + b"\x14" + b"x" * 20, 1
)


async def mysql_logged_in(statement):
    """A hostile statement from a user who may log in."""
    import pymysql

    def go():
        host, port = PORTS["mysql"]
        connection = pymysql.connect(host=host, port=int(port), user="testuser", password="testpass")
        began = time.monotonic()
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
        except pymysql.MySQLError:
            pass
        took = time.monotonic() - began
        return None if took < LIMIT_CLOSE else f"answered after {took:.1f} s"

    return await asyncio.to_thread(go)


def mprpc(body):
    return LOGIN + body + END


def bombs():
    """Little that unpacks to much. Made before the clock runs: packing it takes seconds, in which
    no honest client here would get its turn."""
    zeros = b"\0" * (64 << 20)
    login = b'{"MPRPC":"0.1","AUTH":"' + b"a" * (256 << 20)
    return [
        zlib.compress(zeros, 9), bz2.compress(zeros, 9), lzma.compress(zeros, preset=1),
        zlib.compress(login, 9),
    ]


BOMBS = bombs()


async def attacks():
    noise = [RNG.randbytes(RNG.choice([1, 10, 1000, 65536])) for _ in range(100)]
    for port in PORTS:
        await many(f"{port}.random_bytes", [bad(port, n, port == "mysql") for n in noise])

    lengths = [b"\xff\xff\xff\x01", b"\xff\xff\xff\x00" + b"x" * 1000, packet(b"", 1), packet(b"\xff" * 32, 1)]
    await many("mysql.giant_lengths", [bad("mysql", d, True) for d in lengths * 10])
    cut = [MYSQL_LOGIN[:n] for n in range(1, len(MYSQL_LOGIN))]
    await many("mysql.truncated_logins", [bad("mysql", d, True, False) for d in cut])
    giants = [
        b"\xdd\xff\xff\xff\xff", b"\x94\x00\x01\xdb\xff\xff\xff\xff", b"\x94\x00\x01\xa1f\xdd\xff\xff\xff\xff",
        b"\x94\x00\x01\xa1f\x91\xc6\xff\xff\xff\xff" + b"x" * 1000, b"\xdf\xff\xff\xff\xff",
        b"\x94\x00\x01\xa1f\x91\xdf\x7f\xff\xff\xff\x01",
    ]
    await many("msgpack.giant_lengths", [bad("msgpack", d) for d in giants * 10])
    await many("msgpack.truncated_login", [bad("msgpack", LOGIN[:n], False, False) for n in range(1, len(LOGIN))])
    deep = [
        b"\x94\x00\x01\xa8testfunc" + b"\x91" * 1_000_000, mprpc(b'{"a":' * 200_000),
        mprpc(b'{"MPRPC":"0.1","ID":1,"METHOD":"testfunc","ARGS":' + b"[" * 500_000 + b"]" * 500_000 + b"}"),
        b"\x81\xa1a" * 300_000 + END,
    ]
    await many("msgpack.deep_nesting", [bad("msgpack", d) for d in deep])
    await many("msgpack.decompression_bombs", [bad("msgpack", d + END) for d in BOMBS * 4])
    heads = [
        b"POST /v1/call/f HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999\r\n\r\n{",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 100_000,
        b"GET /" + b"a" * 10_000_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /v1/call/f HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX:" + b"a" * 5_000_000,
    ]
    await many("http.giant_requests", [bad("http", d) for d in heads * 5])
    await many("http.truncated_requests", [bad("http", b"POST /v1/call/f HTT", False, False)] * 1)
    login = base64.b64encode(b"testuser:testpass")
    nested = b"[" * 1_000_000
    head = b"POST /v1/call/myadd HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic " + login
    body = head + b"\r\nContent-Length: %d\r\n\r\n" % len(nested) + nested
    await many("http.deep_nesting", [bad("http", body)])
    statements = [
        "call myadd(" + "(" * 1_000_000, "call echo(" + "[" * 1_000_000 + "]" * 1_000_000 + ")",
        "select " + "-" * 1_000_000 + "1", "select " + "not " * 300_000 + "1", "select 1" + "+1" * 300_000,
        "call echo('" + "''" * 1_000_000, "/*" * 500_000, "select '" + "a" * 1_000_000 + "' like '" + "%a" * 500 + "b'",
        "set @a=" + "concat(@a,@a," * 1000, "select " + "case when 1 then " * 100_000, "?" * 1_000_000,
        "select repeat('a', 1000000000)", "select space(4000000000)", "call big(99999999999999999999)",
    ]
    await many("mysql.hostile_statements", [mysql_logged_in(s) for s in statements])

    text = b"\x94\x00\x01\xa8testfunc\x92\xdb\x00\x00\x10\x00" + b"x" * 100
    drips = [
        ("mysql", MYSQL_LOGIN, True), ("msgpack", LOGIN, False), ("msgpack", text, False),
        ("http", b"GET / HTTP/1.1\r\nHost: " + b"a" * 100, False),
    ]
    await many("all.slow_drip", [bad(p, d, g, False, 1, 1) for p, d, g in drips * 10])

    for port in PORTS:
        await many(f"{port}.thousand_silent", [bad(port, b"", port == "mysql", False) for _ in range(1000)], 1000)


async def main():
    honest, stop = Honest(), asyncio.Event()
    await honest.mysql(), await honest.msgpack(), await honest.http()
    before = peak = memory()
    running = asyncio.ensure_future(honest.run(stop))

    async def watch():
        nonlocal peak
        while True:
            peak = max(peak, memory())
            await asyncio.sleep(0.02)

    watching = asyncio.ensure_future(watch())
    await attacks()
    stop.set()
    await running
    watching.cancel()
    grown = peak - before
    print(f"memory grew by {grown / (1 << 20):.0f} MiB at most; {honest.rounds} honest rounds, slowest",
          ", ".join(f"{name} {worst:.2f} s" for name, worst in honest.worst.items()), flush=True)
    report("memory", None if grown <= LIMIT_MEMORY else f"grew by {grown >> 20} MiB")
    report("honest_clients_are_answered", honest.errors[0] if honest.errors else None)
    slow = {n: w for n, w in honest.worst.items() if w > LIMIT_HONEST}
    report("honest_clients_wait_at_most_2_s", str(slow) if slow else None)
    os.kill(A.pid, 0)
    report("process_lives")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


asyncio.run(main())
