"""Bytes to frames and back: pure, without a socket or a clock.

A frame is the byte ``ce``, four bytes of length and one MessagePack array. Its elements stand in
``docs/protocols/worker.md``.
"""

from __future__ import annotations

import struct
from typing import Any

from polyport.values import unpack

HELLO, WELCOME, CALL, STREAM, ITEM, DONE, FAIL = 0, 1, 2, 3, 4, 5, 6
CANCEL, CREDIT, PING, PONG, DRAIN, LOG, LEAVE = 7, 8, 9, 10, 11, 12, 13

#: The version of the protocol.
VERSION = 1

#: Items of a stream that may be sent before the other side gives credit.
FIRST_CREDIT = 16

_HEAD_BYTES = 5
_head = struct.Struct(">BI").pack


class ProtocolError(Exception):
    """The other side sent what the protocol has no meaning for."""


def frame(body: bytes) -> bytes:
    """A frame around a packed array."""
    return _head(0xCE, len(body)) + body


class Reader:
    """Cuts what arrives into frames."""

    __slots__ = ("_message_bytes", "_partial")

    def __init__(self) -> None:
        self._message_bytes = 0xFFFF_FFFF  # Until WELCOME says.
        self._partial = bytearray()

    def limit(self, message_bytes: int) -> None:
        """Sets how long a frame may be, also for one that has arrived in part."""
        self._message_bytes = message_bytes
        if self._partial:
            self._length(self._partial, 0)

    def feed(self, data: bytes) -> list[list[Any]]:
        """Takes what arrived, and gives the frames that are complete."""
        if not self._partial and data[0] == 0xCE:
            # Almost always one whole frame has arrived.
            length = int.from_bytes(data[1:_HEAD_BYTES], "big")
            if length + _HEAD_BYTES == len(data) and length <= self._message_bytes:
                return [_array(data[_HEAD_BYTES:])]
        if self._partial:
            self._partial += data
            if len(self._partial) < _HEAD_BYTES + self._length(self._partial, 0):
                return []
            data = bytes(self._partial)
            self._partial.clear()
        frames = []
        at, end = 0, len(data)
        while at < end:
            start = at + _HEAD_BYTES
            stop = start + self._length(data, at)
            if start > end or stop > end:
                self._partial += data[at:]
                break
            frames.append(_array(data[start:stop]))
            at = stop
        return frames

    def _length(self, data: bytes | bytearray, at: int) -> int:
        if data[at] != 0xCE:
            raise ProtocolError(f"a frame begins with ce, not {data[at]:02x}")
        # Of a head that has not arrived whole this is less than it will be, and no frame follows.
        length = int.from_bytes(data[at + 1 : at + _HEAD_BYTES], "big")
        if length > self._message_bytes:
            raise ProtocolError(f"a frame of {length} bytes; the most is {self._message_bytes}")
        return length


def _array(body: bytes) -> list[Any]:
    try:
        array = unpack(body)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"a frame cannot be read: {error}") from None
    if type(array) is not list or not array or type(array[0]) is not int:
        raise ProtocolError("a frame is an array that begins with its kind")
    kind = array[0]
    if len(array) < _LENGTHS.get(kind, 1):
        raise ProtocolError(f"a frame of kind {kind} has {len(array)} elements")
    if kind in _NUMBERED and type(array[1]) is not int:
        raise ProtocolError(f"a frame of kind {kind} begins with {array[1]!r}, and not a number")
    if kind == CREDIT and (type(array[2]) is not int or array[2] < 0):
        raise ProtocolError(f"no credit: {array[2]!r}")
    return array


_NUMBERED = frozenset((CALL, STREAM, ITEM, DONE, FAIL, CANCEL, CREDIT, LEAVE))

_LENGTHS = {
    HELLO: 2,
    WELCOME: 2,
    CALL: 6,
    STREAM: 3,
    ITEM: 3,
    DONE: 3,
    FAIL: 3,
    CANCEL: 2,
    CREDIT: 3,
    PING: 2,
    PONG: 2,
    LOG: 5,
    LEAVE: 2,
}
