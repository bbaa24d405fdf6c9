"""The engine of plain functions that run several at once: each on a thread of its own.

The main thread reads the socket. The server bounds how many calls run, so there are as many
threads as calls: one that waits for a call of its own does not count, and must not keep that call
from running.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from types import GeneratorType
from typing import Any

from polyport import frames, values
from polyport.application import Application, Entry, Pool
from polyport.context import CURRENT, Call
from polyport.engine import Channel, Engine, close_quietly
from polyport.frames import DONE, FIRST_CREDIT, ITEM, STREAM
from polyport.outgoing import ThreadPending

#: Far above any concurrency, since it is the server that bounds it.
_MOST_THREADS = 100_000


class Running:
    """A call that runs on a thread, and its stream if it gives one."""

    def __init__(self, engine: ThreadsEngine, entry: Entry, call: Call) -> None:
        self.entry = entry
        self.call = call
        self._engine = engine
        self._generator: Generator[Any, None, Any] | None = None
        self._lock = threading.Lock()
        self._credit = FIRST_CREDIT
        self._is_parked = False

    def cancel(self) -> None:
        """Says that nobody wants the result."""
        self.call._cancelled = True
        self._wake()

    def credit(self, count: int) -> None:
        """Lets the stream go on."""
        with self._lock:
            self._credit += count
        self._wake()

    def run(self, sent: list[Any]) -> None:
        """Runs the call, on a thread, until it ends or its stream waits."""
        engine, call, entry = self._engine, self.call, self.entry
        CURRENT.set(call)
        try:
            result = entry.start(sent, call.session)
        except BaseException as error:
            engine.check_process(error)
            engine.finish(call._id, engine.failure(call._id, error))
        else:
            engine.check_process()
            if type(result) is GeneratorType:
                self._generator = result
                engine.send_frame([STREAM, call._id, entry.stream_columns])
                self._advance(result)
            else:
                engine.finish(call._id, engine.answer(DONE, call._id, entry.name, result)[0])
        CURRENT.set(None)

    def _advance(self, generator: Generator[Any, None, Any]) -> None:
        engine, id = self._engine, self.call._id
        CURRENT.set(self.call)
        goes_on = True
        while goes_on:
            with self._lock:
                if not self._credit and not self.call._cancelled:
                    self._is_parked = True
                    break
                self._credit -= 1
            data, goes_on = self._next(generator)
            engine.check_process()
            if goes_on:
                engine.send(data)
            else:
                engine.finish(id, data)
        CURRENT.set(None)

    def _next(self, generator: Generator[Any, None, Any]) -> tuple[bytes, bool]:
        engine, id = self._engine, self.call._id
        try:
            if self.call._cancelled:
                generator.close()
                return engine.refusal(id, "cancelled", "the stream was cancelled", "yes"), False
            item = next(generator)
        except StopIteration:
            return frames.frame(values.pack([DONE, id, None])), False
        except BaseException as error:
            engine.check_process(error)
            return engine.failure(id, error), False
        data, is_item = engine.answer(ITEM, id, self.entry.name, item)
        if not is_item:
            close_quietly(generator)
        return data, is_item

    def _wake(self) -> None:
        with self._lock:
            is_parked, self._is_parked = self._is_parked, False
        if is_parked and self._generator is not None:
            self._engine.submit(self._advance, self._generator)


class ThreadsEngine(Engine):
    """Runs each call on a thread."""

    def __init__(self, channel: Channel, application: Application, pool: Pool) -> None:
        super().__init__(channel, application, pool)
        self._executor = ThreadPoolExecutor(_MOST_THREADS, "polyport")
        self._served: dict[int, Any] = {}
        self._reader = threading.get_ident()
        self._wake_read, self._wake_write = os.pipe()

    def run(self, arrived: list[list[Any]]) -> None:
        """Serves the frames that have arrived, and all others until the server sends DRAIN."""
        self.application.prepare(self.pool)
        for frame in arrived:
            self.handle(frame)
        waiter = select.poll()
        waiter.register(self.channel.socket, select.POLLIN)
        waiter.register(self._wake_read, select.POLLIN)
        while True:
            if self.draining:
                if not self._served:
                    return
                waiter.poll()
            for frame in self.channel.receive(wait=not self.draining):
                self.handle(frame)

    def on_call(self, frame: list[Any]) -> None:
        """Runs a call on a thread."""
        entry, call, sent = self.find(frame)
        running = Running(self, entry, call)
        self._served[call._id] = running
        self.submit(running.run, sent)

    def on_cancel(self, frame: list[Any]) -> None:
        """Ends a stream, or tells the function that runs."""
        served = self._served.get(frame[1])
        if served is not None:
            served.cancel()

    def on_credit(self, frame: list[Any]) -> None:
        """Lets a stream go on."""
        served = self._served.get(frame[1])
        if served is not None:
            served.credit(frame[2])

    def submit(self, work: Callable[..., None], *args: Any) -> None:
        """Runs something on a thread."""
        self._executor.submit(work, *args)

    def finish(self, id: int, data: bytes) -> None:
        """Sends the answer that ends a call."""
        self.send(data)
        self.drop_abandoned()
        del self._served[id]
        if self.draining and not self._served:
            self.finished()

    def finished(self) -> None:
        """Wakes the reader, which has nothing left to do."""
        os.write(self._wake_write, b"\0")

    def wait(self, pending: Any) -> list[Any]:
        """Waits on this thread for the next frame of an answer."""
        if threading.get_ident() == self._reader:
            raise RuntimeError("the thread that reads the socket cannot wait: use polyport.acall")
        frame: list[Any] = pending.take()
        return frame

    def call(self, serving: Call, name: str, args: Any, kwargs: Any, timeout: float | None) -> Any:
        """Calls a function of the server's and waits."""
        if threading.get_ident() == self._reader:
            raise RuntimeError("polyport.call waits; a coroutine uses await polyport.acall")
        return self.call_with(ThreadPending, serving, name, args, kwargs, timeout)
