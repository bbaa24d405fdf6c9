"""The engine of coroutine functions: an event loop on the main thread.

The plain methods of an object that has coroutine methods too run on threads, as many at once as
the object says; a method that waits for a call of its own lets the calls that belong to it pass.
"""

from __future__ import annotations

import asyncio
import collections
import threading
from collections.abc import AsyncGenerator
from typing import Any

from polyport import frames, values
from polyport.application import Application, Entry, Pool
from polyport.context import CURRENT, Call
from polyport.engine import Channel, leave
from polyport.frames import DONE, FIRST_CREDIT, ITEM, STREAM
from polyport.outgoing import AsyncPending, AsyncStream
from polyport.threads import Running, ThreadsEngine


class _Task:
    """A call that runs on the loop, and the credit of its stream if it gives one."""

    def __init__(self, engine: AsyncEngine, entry: Entry, call: Call, sent: list[Any]) -> None:
        self._engine = engine
        self._entry = entry
        self._call = call
        self._credit = FIRST_CREDIT
        self._waiting: asyncio.Future[None] | None = None
        self._has_begun = False
        # A task keeps the context that it is created in.
        CURRENT.set(call)
        self._task = engine.loop.create_task(self._run(sent))
        CURRENT.set(None)

    def cancel(self) -> None:
        self._call._cancelled = True
        self._task.cancel()
        if not self._has_begun:  # And now it never will, so it cannot answer.
            id = self._call._id
            text = "the call was cancelled before it began"
            self._engine.finish(id, self._engine.refusal(id, "cancelled", text))

    def credit(self, count: int) -> None:
        self._credit += count
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def _run(self, sent: list[Any]) -> None:
        engine, entry, id = self._engine, self._entry, self._call._id
        self._has_begun = True
        try:
            result = entry.start(sent, self._call.session)
            if entry.style == "coroutine":
                data, _ = engine.answer(DONE, id, entry.name, await result)
            else:
                data = await self._stream(result)
        except asyncio.CancelledError as error:
            if self._call._cancelled:
                data = engine.refusal(id, "cancelled", "the call was cancelled", "yes")
            else:
                data = engine.failure(id, error)
        except BaseException as error:
            engine.check_process(error)
            data = engine.failure(id, error)
        engine.check_process()
        engine.finish(id, data)

    async def _stream(self, generator: AsyncGenerator[Any, None]) -> bytes:
        engine, entry, id = self._engine, self._entry, self._call._id
        engine.send_frame([STREAM, id, entry.stream_columns])
        try:
            while True:
                while not self._credit:
                    self._waiting = engine.loop.create_future()
                    await self._waiting
                try:
                    item = await generator.__anext__()
                except StopAsyncIteration:
                    return frames.frame(values.pack([DONE, id, None]))
                data, is_item = engine.answer(ITEM, id, entry.name, item)
                if not is_item:
                    return data
                self._credit -= 1
                engine.send(data)
        finally:
            await generator.aclose()


class _Protocol(asyncio.Protocol):
    """Hands what the socket brings to the engine."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self.is_over = engine.loop.create_future()

    def data_received(self, data: bytes) -> None:
        for frame in self._engine.channel.feed(data):
            self._engine.handle(frame)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._engine.is_finished.done():
            leave(0)
        self.is_over.set_result(None)


class AsyncEngine(ThreadsEngine):
    """Runs coroutines on a loop, and plain methods on threads beside it."""

    def __init__(self, channel: Channel, application: Application, pool: Pool) -> None:
        super().__init__(channel, application, pool)
        self.loop = self.application.loop or asyncio.new_event_loop()
        self.is_finished = self.loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        # Plain methods: those that run, by the chain of their call, and those that wait.
        self._running: collections.Counter[int] = collections.Counter()
        self._waiting: collections.deque[tuple[Running, list[Any]]] = collections.deque()

    def run(self, arrived: list[list[Any]]) -> None:
        """Serves the frames that have arrived, and all others until the server sends DRAIN."""
        asyncio.set_event_loop(self.loop)
        main = self.loop.create_task(self._main(arrived))
        while not main.done():
            try:
                self.loop.run_until_complete(main)
            except (SystemExit, KeyboardInterrupt) as error:
                # A task that a function left behind; a function's own is answered as its failure.
                text = f"a task ended with {type(error).__name__}"
                self.log("error", "polyport", text, {})
        main.result()
        others = asyncio.all_tasks(self.loop)
        for task in others:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*others, return_exceptions=True))
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()

    def send(self, data: bytes) -> None:
        """Sends frames, from any thread; those of one turn of the loop leave together."""
        with self.channel.lock:
            if not self.channel.is_open:
                return
            self._out.append(data)
            if len(self._out) == 1:
                if threading.get_ident() == self._reader:
                    self.loop.call_soon(self._flush)
                else:
                    self.loop.call_soon_threadsafe(self._flush)

    def on_call(self, frame: list[Any]) -> None:
        """Runs a call on the loop, or on a thread when it is not a coroutine's."""
        entry, call, sent = self.find(frame)
        if entry.style in ("coroutine", "async generator"):
            self._served[call._id] = _Task(self, entry, call, sent)
            return
        running = Running(self, entry, call)
        self._served[call._id] = running
        self._waiting.append((running, sent))
        self._start_waiting()

    def on_cancel(self, frame: list[Any]) -> None:
        """Stops a coroutine, takes a plain call out of the queue, or tells it."""
        for waiting in self._waiting:
            if waiting[0].call._id == frame[1]:
                self._waiting.remove(waiting)
                text = "the call was cancelled before it began"
                self.finish(frame[1], self.refusal(frame[1], "cancelled", text))
                return
        super().on_cancel(frame)

    def on_drain(self, frame: list[Any]) -> None:
        """Finishes what runs."""
        super().on_drain(frame)
        if not self._served:
            self.finished()

    def finished(self) -> None:
        """Ends the loop, from any thread."""
        self.loop.call_soon_threadsafe(
            lambda: None if self.is_finished.done() else self.is_finished.set_result(None)
        )

    async def acall(
        self, serving: Call, name: str, args: Any, kwargs: Any, timeout: float | None
    ) -> Any:
        """Calls a function of the server's; other coroutines run meanwhile."""
        if threading.get_ident() != self._reader:
            return self.call(serving, name, args, kwargs, timeout)
        pending = self.begin(AsyncPending, serving, name, args, kwargs, timeout)
        return self.result(pending, await self.await_frame(pending), AsyncStream)

    async def await_frame(self, pending: Any) -> list[Any]:
        """Waits for the next frame of an answer."""
        try:
            frame: list[Any] = await pending.take()
        except asyncio.CancelledError:
            self.abandon(pending)
            self.drop_abandoned()
            raise
        return frame

    async def _main(self, arrived: list[list[Any]]) -> None:
        transport, protocol = await self.loop.create_unix_connection(
            lambda: _Protocol(self), sock=self.channel.socket
        )
        self._transport = transport
        self._flush()
        # Here, since an object may need the running loop to be made.
        self.application.prepare(self.pool)
        for frame in arrived:
            self.handle(frame)
        await self.is_finished
        self._flush()
        transport.close()
        await protocol.is_over

    def _flush(self) -> None:
        if self._transport is None:
            return  # Records of the log may come before there is a connection.
        with self.channel.lock:
            out, self._out = self._out, []
        if out:
            self._transport.write(b"".join(out))

    def _start_waiting(self) -> None:
        """Starts the plain methods that may run now."""
        for waiting in list(self._waiting):
            running, sent = waiting
            chain = running.call._chain
            if self._running.total() < self.pool.threads or self._running[chain] > 0:
                self._waiting.remove(waiting)
                self._running[chain] += 1
                self.submit(self._run_plain, running, sent)

    def _run_plain(self, running: Running, sent: list[Any]) -> None:
        try:
            running.run(sent)
        finally:
            self.loop.call_soon_threadsafe(self._end_plain, running.call._chain)

    def _end_plain(self, chain: int) -> None:
        self._running[chain] -= 1
        self._running += collections.Counter()  # Without those that are zero.
        self._start_waiting()
