"""A MySQL server of pymysqlrpc's shape, to measure beside: gevent, a greenlet and a handler object
for each connection, arguments read as Python literals, packets built field by field in Python.

For each call it takes the steps that pymysqlrpc 0.1.4 takes, and no others: it counts, notes the
time before and after, splits the statement, finds the types of the columns from the first row, and
sends all packets at once. Its checks of logins, its limits and its status page cost calls nothing
and are left out.
"""

import ast
import os
import struct
import time
from datetime import datetime
from decimal import Decimal

from gevent.pool import Pool
from gevent.server import StreamServer

CAPABILITIES = 1 | 1 << 3 | 1 << 9 | 1 << 13 | 1 << 15 | 1 << 17 | 1 << 19
STATUS = 2
KINDS = {int: 3, str: 253, float: 5, type(None): 6, datetime: 12, bytearray: 252, Decimal: 246}


def myadd(a, b):
    return ("sum",), [(a + b,)]


class Failure(Exception):
    """A call that cannot be made."""


def encode_length(number):
    if number <= 250:
        return struct.pack("B", number)
    if number < 1 << 16:
        return b"\xfc" + struct.pack("<H", number)
    if number < 1 << 24:
        return b"\xfd" + struct.pack("<I", number)[:3]
    return b"\xfe" + struct.pack("<Q", number)


def encode_text(text):
    data = text.encode()
    return encode_length(len(data)) + data


class Handler:
    """One connection."""

    def __init__(self, socket, server):
        self.socket = socket
        self.server = server
        self.buffer = b""
        self.sequence = 0
        self.packets = []
        self.is_known = False
        self.began = self.ended = 0.0
        self.calls = 0

    def work(self):
        salt = b"A" * 20
        hello = b"\x0a5.5.5\0" + struct.pack("<I", 1) + salt[:8] + b"\0"
        low, high = CAPABILITIES & 0xFFFF, CAPABILITIES >> 16
        hello += struct.pack("<HBHHB", low, 45, STATUS, high, 21)
        self.sequence = -1
        self.add(hello + b"\0" * 10 + salt[8:] + b"\0mysql_native_password\0")
        self.flush()
        while True:
            data = self.socket.recv(1 << 24)
            if not data:
                break
            self.received(data)

    def received(self, data):
        self.buffer += data
        while len(self.buffer) >= 4:
            low, high, self.sequence = struct.unpack("<HBB", self.buffer[:4])
            length = (high << 16) + low
            body = self.buffer[4:]
            if len(body) < length:
                return
            packet = body[:length]
            self.buffer = body[length:]
            if self.is_known:
                self.command(packet)
            else:
                self.is_known = True
                self.add_ok(0)
            self.flush()

    def command(self, packet):
        if packet[:1] != b"\x03":
            self.add_ok(0)
            return
        statement = packet[1:].decode().strip()
        if " " not in statement:
            self.add_ok(0)
            return
        verb, rest = (part.strip() for part in statement.split(" ", 1))
        if rest[-1] == ";":
            rest = rest[:-1]
        if verb.lower() != "call":
            self.add_ok(0)
            return
        self.server.state["calls"] += 1
        self.began = time.time()
        self.calls += 1
        try:
            result = self.call(rest)
            self.ended = time.time()
            if result:
                self.add_table(*self.table(result))
            else:
                self.add_ok(1)
        except Exception as error:
            self.ended = time.time()
            self.server.state["errors"] += 1
            self.add(b"\xff" + struct.pack("<H", 500) + b"#HY102" + str(error).encode())

    def call(self, text):
        offset = text.find("(")
        if offset == -1:
            raise Failure("no '('")
        arguments = ast.literal_eval(text[offset:])
        if type(arguments) is not tuple:
            arguments = (arguments,)
        name = text[:offset]
        if name not in self.server.functions:
            raise Failure(f"no function {name}")
        return self.server.functions[name](*arguments)

    def table(self, result):
        """The names and types of the columns, and the rows."""
        is_full = type(result) is tuple and len(result) == 2
        if is_full and type(result[0]) is tuple and type(result[1]) is list:
            names, rows = result
        elif type(result) is list:
            rows = result
            names = tuple(map(str, range(len(rows[0]))))
        else:
            rows = [result]
            names = tuple(map(str, range(len(result))))
        if not rows:
            return [(name, 253) for name in names], rows
        if len(names) != len(rows[0]):
            raise Failure("as many names as columns are needed")
        columns = []
        for name, cell in zip(names, rows[0]):
            kind = KINDS.get(type(cell))
            if kind is None:
                raise Failure(f"no column of {cell!r}")
            columns.append((name, kind))
        return columns, rows

    def add_table(self, columns, rows):
        self.add(struct.pack("B", len(columns)))
        database, table, origin = encode_text(""), encode_text(""), encode_text("")
        for name, kind in columns:
            name = encode_text(str(name))
            fixed = b"\x0c" + struct.pack("<HIBHBH", 45 if kind == 253 else 63, 0, kind, 0, 0, 0)
            self.add(encode_text("def") + database + table + origin + name + name + fixed)
        end = b"\xfe\0\0" + struct.pack("<H", STATUS)
        self.add(end)
        for row in rows:
            packet = b""
            if len(row) != len(columns):
                raise Failure("as many cells as columns are needed")
            for (_, kind), cell in zip(columns, row):
                if cell is None:
                    packet += b"\xfb"
                elif kind == 12:
                    packet += encode_text(cell.strftime("%Y-%m-%d %H:%M:%S"))
                else:
                    packet += encode_text(str(cell))
            self.add(packet)
        self.add(end)

    def add_ok(self, affected):
        ends = struct.pack("<H", STATUS) + struct.pack("<H", 0)
        self.add(b"\0" + encode_length(affected) + encode_length(0) + ends)

    def add(self, packet):
        self.sequence = self.sequence + 1 & 255
        high, low = divmod(len(packet), 1 << 16)
        self.packets.append(struct.pack("<HBB", low, high, self.sequence) + packet)

    def flush(self):
        self.socket.sendall(b"".join(self.packets))
        self.packets = []


class Server(StreamServer):
    """The server, with a place for each of a hundred connections."""

    def __init__(self, port, functions):
        super().__init__(("127.0.0.1", port), spawn=Pool(100))
        self.functions = functions
        self.state = {"calls": 0, "errors": 0}
        self.handlers = {}

    def handle(self, socket, address):
        handler = self.handlers[address] = Handler(socket, self)
        try:
            handler.work()
        finally:
            del self.handlers[address]


if __name__ == "__main__":
    server = Server(int(os.environ.get("PORT", "0")), {"myadd": myadd})
    server.start()
    print(f"listening mysql 127.0.0.1:{server.server_port}", flush=True)
    print("ready", flush=True)
    server.serve_forever()
