from __future__ import annotations

import random
from typing import Any

import pytest

from polyport.frames import ProtocolError, Reader, frame
from polyport.values import pack

FRAMES: list[list[Any]] = [
    [1, {"pool": "plain", "message_bytes": 1 << 20}],
    [2, 1, "math.add", [3, 4], None, [7, "ann", "mysql", "127.0.0.1:1", None, 9, 0]],
    [2, 2, "echo", ["x" * 300], None, [7, "ann", "mysql", "127.0.0.1:1", 3000, 9, 0]],
    [9, 77],
    [99, "a kind of the future"],
    [11],
]
BYTES = b"".join(frame(pack(array)) for array in FRAMES)


def test_frames_come_out_however_the_bytes_are_split() -> None:
    for at in range(1, len(BYTES)):
        reader = Reader()
        assert reader.feed(BYTES[:at]) + reader.feed(BYTES[at:]) == FRAMES
    reader = Reader()
    got = [array for byte in BYTES for array in reader.feed(bytes([byte]))]
    assert got == FRAMES


def test_a_frame_over_the_limit_is_refused_by_its_head() -> None:
    reader = Reader()
    reader.limit(100)
    assert reader.feed(frame(pack([9, b"x" * 90]))) == [[9, b"x" * 90]]
    with pytest.raises(ProtocolError, match="101 bytes"):
        reader.feed(b"\xce\0\0\0\x65")
    reader = Reader()
    assert reader.feed(b"\xce\0\0\0\x65x") == []
    with pytest.raises(ProtocolError, match="101 bytes"):
        reader.limit(100)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        frame(b"\x01"),
        frame(b"\x90"),
        frame(b"\x91\xa1x"),
        frame(b"\x93\x02\x01\xa1x"),
        frame(b"\xc1"),
        frame(b"\x92\x09"),
        frame(b"\x91\x0b\x00"),
        frame(b""),
        frame(b"\x92\x09" + b"\x91" * 3000 + b"\xc0"),
    ],
)
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        Reader().feed(data)


def test_changed_bytes_give_frames_or_an_error_and_nothing_else() -> None:
    chance = random.Random(11)
    for _ in range(10_000):
        data = bytearray(BYTES)
        for _ in range(chance.randrange(1, 5)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        reader = Reader()
        reader.limit(1 << 20)
        at = chance.randrange(1, len(data))
        try:
            arrays = reader.feed(bytes(data[:at])) + reader.feed(bytes(data[at:]))
        except ProtocolError:
            continue
        assert all(type(array) is list and type(array[0]) is int for array in arrays)
