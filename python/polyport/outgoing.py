"""Calls of the server's functions: what has been answered so far, and streams."""

from __future__ import annotations

import asyncio
import collections
import queue
from typing import TYPE_CHECKING, Any

from polyport import faults
from polyport.frames import CANCEL, CREDIT, DONE, FIRST_CREDIT, ITEM
from polyport.results import Column

if TYPE_CHECKING:
    from typing_extensions import Self

    from polyport.engine import Engine

#: Items that are taken before credit is given for as many.
_CREDIT = FIRST_CREDIT // 2


class Pending:
    """A call that the server has not answered whole: the frames that arrived for it."""

    def __init__(self, id: int, chain: int) -> None:
        self.id = id
        self.chain = chain
        self.frames: collections.deque[list[Any]] = collections.deque()

    def put(self, frame: list[Any]) -> None:
        """Takes a frame from the socket."""
        self.frames.append(frame)


class ThreadPending(Pending):
    """One that a thread waits for while another reads the socket."""

    def __init__(self, id: int, chain: int) -> None:
        super().__init__(id, chain)
        self._queue: queue.SimpleQueue[list[Any]] = queue.SimpleQueue()
        self.take = self._queue.get

    def put(self, frame: list[Any]) -> None:
        """Takes a frame from the socket and wakes the thread."""
        self._queue.put(frame)


class AsyncPending(Pending):
    """One that a coroutine waits for."""

    def __init__(self, id: int, chain: int) -> None:
        super().__init__(id, chain)
        self._arrived: asyncio.Future[None] | None = None

    def put(self, frame: list[Any]) -> None:
        """Takes a frame from the socket and wakes the coroutine."""
        self.frames.append(frame)
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    async def take(self) -> list[Any]:
        """Waits for the next frame."""
        while not self.frames:
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived
        return self.frames.popleft()


class _Stream:
    """What both kinds of stream do."""

    #: The declared columns of the items, empty when there are none.
    columns: list[Column]

    def __init__(self, engine: Engine, pending: Any, columns: list[Column]) -> None:
        self.columns = columns
        self._engine = engine
        self._pending = pending
        self._taken = 0
        self._over = False

    def _take(self, frame: list[Any]) -> tuple[bool, Any]:
        """Whether the frame is an item, and the item. Raises the fault that ends a stream."""
        kind = frame[0]
        if kind == ITEM:
            self._taken += 1
            if self._taken == _CREDIT:
                self._taken = 0
                self._engine.send_frame([CREDIT, self._pending.id, _CREDIT])
            return True, frame[2]
        self._over = True
        if kind == DONE:
            return False, None
        raise faults.from_wire(frame[2])

    def _cancel(self) -> None:
        if not self._over:
            self._over = True
            if self._engine.forget(self._pending):
                self._engine.send_frame([CANCEL, self._pending.id])

    def __del__(self) -> None:
        # The collector may run while the socket's lock is held, so nothing is sent here.
        if not self._over:
            self._engine.abandon(self._pending)


class Stream(_Stream):
    """The items of a stream, as they come. :meth:`close` says that no more are wanted."""

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Any:
        if not self._over:
            is_item, item = self._take(self._engine.wait(self._pending))
            if is_item:
                return item
        raise StopIteration

    def close(self) -> None:
        """Ends the stream."""
        self._cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._cancel()


class AsyncStream(_Stream):
    """The items of a stream, as they come. :meth:`aclose` says that no more are wanted."""

    def __aiter__(self) -> AsyncStream:
        return self

    async def __anext__(self) -> Any:
        if not self._over:
            is_item, item = self._take(await self._engine.await_frame(self._pending))
            if is_item:
                return item
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Ends the stream."""
        self._cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self._cancel()
