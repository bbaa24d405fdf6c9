"""The engine of plain functions: one call at a time, on the main thread.

What a call costs here is what most applications wait for, so the path of a call without anything
special is short: read, look up, call, pack, send.
"""

from __future__ import annotations

import collections
import mmap
import struct
import threading
import time
from collections.abc import Generator
from types import GeneratorType
from typing import Any

from polyport import frames, values
from polyport.application import Application, Entry, Pool
from polyport.context import CURRENT, Call
from polyport.engine import Channel, Engine, close_quietly
from polyport.frames import CALL, DONE, FIRST_CREDIT, ITEM, STREAM

#: Seconds after which the socket is looked at again before something else begins.
_STALE_S = 0.001

_write_progress = struct.Struct("<QQ").pack_into
_write_word = struct.Struct("<Q").pack_into

#: Where the progress file has the word about its outbox, and the outbox itself.
_OUTBOX_WORD, _OUTBOX = 16, 24


class _Stream:
    """A generator that is advanced while it has credit."""

    __slots__ = ("call", "credit", "generator", "is_cancelled", "is_ready", "is_running", "name")

    def __init__(self, name: str, call: Call, generator: Generator[Any, None, Any]) -> None:
        self.name = name
        self.call = call
        self.generator = generator
        self.credit = FIRST_CREDIT
        self.is_cancelled = False
        self.is_ready = False
        self.is_running = False


_Waiting = tuple[Entry, Call, "list[Any]"]


class PlainEngine(Engine):
    """Runs one call at a time. Streams that wait for credit do not hold it up."""

    def __init__(
        self, channel: Channel, application: Application, pool: Pool, progress: str | None
    ) -> None:
        super().__init__(channel, application, pool)
        self._thread = threading.get_ident()
        self._calls: collections.deque[_Waiting] = collections.deque()
        self._serving: list[Call] = []
        self._streams: dict[int, _Stream] = {}
        self._ready: collections.deque[_Stream] = collections.deque()
        #: Credit for streams whose call has not begun.
        self._early_credit: dict[int, int] = {}
        self._progress = _progress_file(progress)
        self._begun = 0
        self._received_at = 0.0
        self._kept = bytearray()
        self._room = len(self._progress) - _OUTBOX
        self._epoch = 0

    def send(self, data: bytes) -> None:
        """Sends frames, after the answers that were kept.

        Other threads, which send records of the log, have no part in what is kept.
        """
        if self._kept and threading.get_ident() == self._thread:
            self._kept += data
            self.channel.send(self._kept)
            self._kept = bytearray()
            self._epoch += 1 << 32
            _write_word(self._progress, _OUTBOX_WORD, self._epoch)
        else:
            self.channel.send(data)

    def _answer(self, data: bytes) -> None:
        """Sends an answer, or keeps it to be sent with that of the next call.

        What is kept stands in the progress file too: should the next call never end, or end the
        process, the server finds it there.
        """
        start = len(self._kept)
        end = start + len(data)
        if self._calls and end <= self._room:
            self._kept += data
            self._progress[_OUTBOX + start : _OUTBOX + end] = data
            _write_word(self._progress, _OUTBOX_WORD, self._epoch + end)
        else:
            self.send(data)

    def run(self, arrived: list[list[Any]]) -> None:
        """Serves the frames that have arrived, and all others until the server sends DRAIN."""
        self.application.prepare(self.pool)
        for frame in arrived:
            self.handle(frame)
        while True:
            if self._calls:
                self._serve_next()
            if self._ready:
                self._advance(self._ready.popleft())
                if time.monotonic() - self._received_at > _STALE_S:
                    self._receive(wait=False)
            elif not self._calls:
                if self.draining and not self._streams:
                    return
                self._receive()

    def poll(self) -> None:
        """Reads what has arrived; a function that asks whether it is cancelled needs it."""
        if threading.get_ident() == self._thread and self.channel.is_open:
            self._receive(wait=False)

    def wait(self, pending: Any) -> list[Any]:
        """Waits for the next frame of an answer, and meanwhile runs what the answer may need."""
        if threading.get_ident() != self._thread:
            raise RuntimeError("only the thread that serves a call can call the server")
        serving = CURRENT.get()
        while not pending.frames:
            if not self._run_one_of(pending.chain):
                self.send(b"")  # What was kept may be what the answer depends on.
                self._receive()
        if CURRENT.get() is not serving:
            CURRENT.set(serving)
            self._mark(serving._id if serving else 0)
        frame: list[Any] = pending.frames.popleft()
        return frame

    def on_call(self, frame: list[Any]) -> None:
        """Keeps a call until the one before it has ended."""
        self._calls.append(self.find(frame))

    def on_cancel(self, frame: list[Any]) -> None:
        """Takes a call out of the queue, ends a stream, or tells the function that runs."""
        id = frame[1]
        stream = self._streams.get(id)
        if stream is not None:
            stream.is_cancelled = stream.call._cancelled = True
            self._make_ready(stream)
        for call in self._serving:
            if call._id == id:
                call._cancelled = True
        for waiting in self._calls:
            if waiting[1]._id == id:
                self._calls.remove(waiting)
                self.send(self.refusal(id, "cancelled", "the call was cancelled before it began"))
                return

    def on_credit(self, frame: list[Any]) -> None:
        """Lets a stream go on."""
        _, id, count, *_ = frame
        stream = self._streams.get(id)
        if stream is not None:
            stream.credit += count
            self._make_ready(stream)
        elif any(call._id == id for _, call, _ in self._calls):
            self._early_credit[id] = self._early_credit.get(id, 0) + count

    def _receive(self, wait: bool = True) -> None:
        arrived = self.channel.receive(wait)
        if not self._serving:
            # What is read within a call is not the last word on those that wait behind it: the
            # server takes them back when that call is a long one.
            self._received_at = time.monotonic()
        for frame in arrived:
            if frame[0] == CALL:
                self._calls.append(self.find(frame))
            else:
                self.handle(frame)

    def _serve_next(self) -> None:
        """Runs the call that has waited longest."""
        if time.monotonic() - self._received_at > _STALE_S:
            # While the call before it ran, this one may have been cancelled or taken back.
            self._receive(wait=False)
        if self._calls:
            self._serve(*self._calls.popleft())

    def _serve(self, entry: Entry, call: Call, sent: list[Any]) -> None:
        id = call._id
        self._serving.append(call)
        CURRENT.set(call)
        self._mark(id)
        try:
            direct = entry.direct
            result = direct(*sent) if direct else entry.start(sent, call._context[0])
        except BaseException as error:
            self.check_process(error)
            data = self.failure(id, error)
        else:
            self.check_process()
            if type(result) is GeneratorType:
                self._open(entry, call, result)
                return
            data, _ = self.answer(DONE, id, entry.name, result)
        self._end(call)
        self._answer(data)

    def _open(self, entry: Entry, call: Call, generator: Generator[Any, None, Any]) -> None:
        stream = _Stream(entry.name, call, generator)
        stream.credit += self._early_credit.pop(call._id, 0)
        self._streams[call._id] = stream
        self._end(call)
        self.send_frame([STREAM, call._id, entry.stream_columns])
        self._make_ready(stream)

    def _advance(self, stream: _Stream) -> None:
        """Takes one item of a stream, or ends it."""
        stream.is_ready = False
        call = stream.call
        stream.is_running = True
        self._serving.append(call)
        CURRENT.set(call)
        self._mark(call._id)
        try:
            data, goes_on = self._next(stream)
        finally:
            stream.is_running = False
            self._end(call)
        self.check_process()
        if not goes_on:
            del self._streams[call._id]
        self.send(data)
        if goes_on:
            self._make_ready(stream)

    def _next(self, stream: _Stream) -> tuple[bytes, bool]:
        id, generator = stream.call._id, stream.generator
        try:
            if stream.is_cancelled:
                generator.close()
                return self.refusal(id, "cancelled", "the stream was cancelled", "yes"), False
            item = next(generator)
        except StopIteration:
            return frames.frame(values.pack([DONE, id, None])), False
        except BaseException as error:
            self.check_process(error)
            return self.failure(id, error), False
        stream.credit -= 1
        data, is_item = self.answer(ITEM, id, stream.name, item)
        if not is_item:
            close_quietly(generator)
        return data, is_item

    def _make_ready(self, stream: _Stream) -> None:
        can_go_on = stream.credit > 0 or stream.is_cancelled
        if can_go_on and not stream.is_ready and not stream.is_running:
            stream.is_ready = True
            self._ready.append(stream)

    def _run_one_of(self, chain: int) -> bool:
        """Runs a call, or takes an item of a stream, that belongs to a chain of calls."""
        for waiting in self._calls:
            if waiting[1]._chain == chain:
                self._calls.remove(waiting)
                self._serve(*waiting)
                return True
        for stream in self._ready:
            if stream.call._chain == chain:
                self._ready.remove(stream)
                self._advance(stream)
                return True
        return False

    def _mark(self, id: int) -> None:
        """Notes that a call runs, before it does."""
        if id > self._begun:  # noqa: PLR1730
            self._begun = id
        _write_progress(self._progress, 0, id, self._begun)

    def _end(self, call: Call) -> None:
        """Notes that a call does not run any more, before its answer can arrive."""
        serving = self._serving
        serving.pop()
        CURRENT.set(None)
        _write_progress(self._progress, 0, serving[-1]._id if serving else 0, self._begun)
        if self._abandoned:
            self.drop_abandoned()


def _progress_file(path: str | None) -> mmap.mmap | bytearray:
    """The progress file, or, where the server has none, a place to write the same into."""
    if path is None:
        return bytearray(_OUTBOX_WORD)
    with open(path, "r+b") as file:
        return mmap.mmap(file.fileno(), 0)
