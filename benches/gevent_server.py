"""A MySQL server of pymysqlrpc's shape, to measure beside: gevent, a greenlet for each connection,
the arguments read as Python literals, the result packed in Python.

It does no more than such a server must: no limits, no prepared statements, no checks of the login.
"""

import ast
import os
import struct

from gevent.pool import Pool
from gevent.server import StreamServer

CAPABILITIES = 1 | 1 << 3 | 1 << 9 | 1 << 13 | 1 << 15 | 1 << 17 | 1 << 19
AUTOCOMMIT = 2


def myadd(a, b):
    return ("sum",), [(a + b,)]


FUNCTIONS = {"myadd": myadd}


def text(value):
    data = str(value).encode()
    if len(data) < 251:
        return bytes((len(data),)) + data
    return b"\xfd" + struct.pack("<I", len(data))[:3] + data


def packet(sequence, body):
    return struct.pack("<I", len(body))[:3] + bytes((sequence,)) + body


def column(name, value):
    kind, charset = (3, 63) if isinstance(value, int) else (253, 45)
    fixed = struct.pack("<HIBHB2x", charset, 11, kind, 0, 0)
    return text("def") + text("") * 3 + text(name) * 2 + b"\x0c" + fixed


def table(names, rows):
    """The packets of one result set."""
    end = b"\xfe" + struct.pack("<HH", 0, AUTOCOMMIT)
    first = rows[0] if rows else [""] * len(names)
    bodies = [bytes((len(names),))]
    bodies += [column(name, value) for name, value in zip(names, first)]
    bodies.append(end)
    bodies += [b"".join(b"\xfb" if v is None else text(v) for v in row) for row in rows]
    bodies.append(end)
    return b"".join(packet(n + 1 & 255, body) for n, body in enumerate(bodies))


def ok(sequence):
    return packet(sequence, b"\0\0\0" + struct.pack("<HH", AUTOCOMMIT, 0))


def error(number, message):
    return packet(1, b"\xff" + struct.pack("<H", number) + b"#HY000" + message.encode())


def answer(statement):
    verb, _, rest = statement.strip().partition(" ")
    if verb.lower() != "call":
        return ok(1)
    name, _, arguments = rest.partition("(")
    try:
        values = ast.literal_eval("(" + arguments.rstrip(" ;").rstrip(")") + ",)")
        names, rows = FUNCTIONS[name](*values)
    except Exception as fault:
        return error(500, f"{type(fault).__name__}: {fault}")
    return table(names, rows)


def read_packet(stream):
    head = stream.read(4)
    if len(head) < 4:
        return None
    return stream.read(head[0] | head[1] << 8 | head[2] << 16)


def serve(connection, _address):
    stream = connection.makefile("rb")
    salt = b"A" * 20
    hello = b"\x0a5.5.5\0" + struct.pack("<I", 1) + salt[:8] + b"\0"
    hello += struct.pack("<HBHHB", CAPABILITIES & 0xFFFF, 45, AUTOCOMMIT, CAPABILITIES >> 16, 21)
    hello += b"\0" * 10 + salt[8:] + b"\0mysql_native_password\0"
    connection.sendall(packet(0, hello))
    if read_packet(stream) is None:
        return
    connection.sendall(ok(2))
    while True:
        command = read_packet(stream)
        if not command or command[0] == 1:
            return
        if command[0] == 3:
            connection.sendall(answer(command[1:].decode()))
        else:
            connection.sendall(ok(1))


if __name__ == "__main__":
    server = StreamServer(("127.0.0.1", int(os.environ.get("PORT", "0"))), serve, spawn=Pool(100))
    server.start()
    print(f"listening mysql 127.0.0.1:{server.server_port}", flush=True)
    print("ready", flush=True)
    server.serve_forever()
