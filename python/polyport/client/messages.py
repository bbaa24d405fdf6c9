"""Calls as requests, and answers as results and faults: pure, for both kinds of client."""

from __future__ import annotations

import collections
import json
import math
import time
import urllib.parse
from typing import Any

from polyport import faults, values
from polyport.client.address import Address
from polyport.client.http import Head, request
from polyport.results import Column, to_columns

PACKED = "application/vnd.polyport.msgpack"
FRAMES = "application/vnd.polyport.msgpack-seq"

#: Seconds that an answer may be late: the server's own answer says more than the client's clock.
GRACE_S = 5.0

#: Seconds of silence in a stream after which it counts as dead: the server sends something every 15.
SILENCE_S = 60.0

_COLUMNS, _ITEM, _DONE, _FAIL = 3, 4, 5, 6

_FRAME_HEAD_BYTES = 5


class NotRun(Exception):
    """A request that did nothing and may pass when it is sent again, after so many seconds."""

    def __init__(self, fault: faults.Fault, pause: float = 0.0) -> None:
        super().__init__(str(fault))
        self.fault = fault
        self.pause = pause


class Limit:
    """Until when an answer is waited for."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._at: float | None = None
        if seconds is not None and seconds != math.inf:
            self._at = time.monotonic() + check_seconds(seconds)

    def anew(self) -> Limit:
        """As much time again, from now on."""
        return Limit(self._seconds)

    def left(self) -> float | None:
        """Seconds until then, at least 0; ``None`` is for ever."""
        return None if self._at is None else max(0.0, self._at - time.monotonic())

    def wait(self, most: float | None = None) -> float | None:
        """Seconds that the client itself waits for the next bytes, and at most so many."""
        left = self.left()
        if left is None:
            return most
        return left + GRACE_S if most is None else min(left + GRACE_S, most)

    def leaves(self, seconds: float) -> bool:
        """Whether there is more time than that."""
        left = self.left()
        return left is None or left > seconds


def check_seconds(seconds: float) -> float:
    """A time limit, if it is one. Raises ``ValueError``."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds >= 0:
        raise ValueError(f"a time limit is a number of seconds, not {seconds!r}")
    return float(seconds)


class Call:
    """One request, which is written anew each time it is sent: less time is left then."""

    def __init__(
        self,
        address: Address,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        accept: str,
        limit: Limit,
    ) -> None:
        self._address = address
        self._target = f"{address.prefix}/v1/call/{urllib.parse.quote(name, safe='')}"
        self._body = values.pack({"args": list(args), "kwargs": kwargs})
        self._accept = accept
        self.limit = limit
        #: Whether it may be sent again although the first may have run.
        self.harmless = False

    def encoded(self) -> bytes:
        """The request. Raises :class:`polyport.Timeout` when its time is over."""
        headers = _headers(self._address, self._accept)
        headers["content-type"] = PACKED
        left = self.limit.left()
        if left is not None:
            if left <= 0:
                raise faults.Timeout("the time for the call was over before it began", ran="no")
            headers["polyport-timeout"] = f"{left:.6f}"
        return request("POST", self._target, headers, self._body)


class Question:
    """A request that only asks what there is."""

    harmless = True

    def __init__(self, address: Address, path: str, limit: Limit) -> None:
        self._encoded = request("GET", address.prefix + path, _headers(address, "application/json"))
        self.limit = limit

    def encoded(self) -> bytes:
        """The request."""
        return self._encoded


def functions_path(name: str | None = None) -> str:
    """The path of all functions, or of one."""
    return "/v1/functions" + ("" if name is None else f"/{urllib.parse.quote(name, safe='')}")


def _headers(address: Address, accept: str) -> dict[str, str]:
    headers = {"host": address.authority, "accept": accept}
    if address.authorization:
        headers["authorization"] = address.authorization
    return headers


def answer(head: Head, body: bytes, accept: str) -> Any:
    """What an answer holds. Raises the fault that it is, or :class:`NotRun` around it."""
    content = _read(head.media_type, body)
    if head.status == 200 and head.media_type == accept and isinstance(content, dict):
        return content.get("result", content)
    error = content.get("error") if isinstance(content, dict) else None
    if not isinstance(error, dict):
        raise stranger(head)
    fault = faults.from_wire(error)
    if fault.ran == "no" and isinstance(fault, (faults.Busy, faults.Unavailable)):
        raise NotRun(fault, _pause(head))
    raise fault


def is_stream(head: Head) -> bool:
    """Whether the items of a stream follow."""
    return head.status == 200 and head.media_type == FRAMES


def _read(media_type: str, body: bytes) -> Any:
    try:
        if media_type == PACKED:
            return values.unpack(body)
        if media_type == "application/json":
            return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise faults.Internal(f"the answer cannot be read: {error}", ran="maybe") from None
    return None


def stranger(head: Head) -> faults.Fault:
    """What a proxy answers in the server's place, or a server of another kind."""
    text = f"the answer is not Polyport's: status {head.status}, {head.media_type or 'no type'}"
    return faults.Unavailable(text, attributes={"status": head.status}, ran="maybe")


def _pause(head: Head) -> float:
    text = head.headers.get("retry-after", "")
    return min(float(text), 10.0) if text.isascii() and text.isdigit() else 0.0


class Items:
    """The items of a stream, from the bytes of its body."""

    def __init__(self) -> None:
        #: The columns of the items, where they are rows of a table.
        self.columns: list[Column] = []
        #: Whether the stream has ended, well or by a fault.
        self.over = False
        self._partial = bytearray()
        self._frames: collections.deque[tuple[Any, Any]] = collections.deque()

    def feed(self, data: bytes) -> None:
        """Takes what arrived."""
        self._partial += data
        while len(self._partial) >= _FRAME_HEAD_BYTES:
            if self._partial[0] != 0xCE:
                raise faults.Internal("the stream cannot be read: no frame", ran="maybe")
            end = _FRAME_HEAD_BYTES + int.from_bytes(self._partial[1:_FRAME_HEAD_BYTES], "big")
            if len(self._partial) < end:
                break
            frame = _read(PACKED, bytes(self._partial[_FRAME_HEAD_BYTES:end]))
            del self._partial[:end]
            if not isinstance(frame, list) or len(frame) < 2:
                raise faults.Internal("the stream cannot be read: no array", ran="maybe")
            self._frames.append((frame[0], frame[1]))

    def next(self) -> tuple[Any] | None:
        """The next item, if it has arrived. Raises the fault that ended the stream."""
        while self._frames:
            kind, content = self._frames.popleft()
            if kind == _ITEM:
                return (content,)
            if kind == _COLUMNS:
                self.columns = to_columns(content or ())
            elif kind == _DONE:
                self.over = True
            elif kind == _FAIL:
                self.over = True
                raise faults.from_wire(content)
        return None
