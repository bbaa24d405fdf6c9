"""The client for programs with coroutines."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from polyport import faults
from polyport.client import base, failures, messages
from polyport.client.address import Address, parse
from polyport.client.functions import Function, from_json
from polyport.client.http import Broken, Head, Reader
from polyport.client.messages import Call, Limit, NotRun, Question
from polyport.results import Column

if TYPE_CHECKING:
    from typing_extensions import Self

_T = TypeVar("_T")


class AsyncClient(base.Base):
    """A server, as a program's coroutines call its functions. Tasks may share one.

    It takes what :class:`polyport.client.Client` takes. A task that is cancelled while it waits for
    a call cancels the call as well.

    >>> async def main():
    ...     async with AsyncClient(URL) as client:
    ...         print(await client.math.add(3, 4))
    ...         async for number in client.stream("math.count", 2):
    ...             print(number)
    >>> asyncio.run(main())
    7
    0
    1
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        user: str | None = None,
        password: str | None = None,
        token: str | None = None,
        ca: str | os.PathLike[str] | None = None,
        tls: ssl.SSLContext | None = None,
        timeout: float | None = None,
        connect_timeout: float = base.CONNECT_S,
    ) -> None:
        address = parse(url, user=user, password=password, token=token, ca=ca, tls=tls)
        super().__init__(address, timeout)
        self._pool = _Pool(address, messages.check_seconds(connect_timeout))

    async def call(
        self, name: str, /, *args: Any, timeout: float | None = None, **kwargs: Any
    ) -> Any:
        """Calls a function and waits for its result, as :meth:`polyport.client.Client.call` does."""
        return await self._call(name, args, kwargs, self._limit(timeout))

    def stream(
        self, name: str, /, *args: Any, timeout: float | None = None, **kwargs: Any
    ) -> AsyncStream:
        """Calls a function and gives the items of its result as they come.

        The function is called when the first item is asked for, or by ``async with``. The rest is
        as :meth:`polyport.client.Client.stream` has it.
        """
        limit = self._limit(timeout)
        call = Call(self._address, name, args, kwargs, messages.FRAMES, limit)
        return AsyncStream(self._pool, call)

    async def functions(self) -> list[Function]:
        """Every function that the user may call, in the order of their names."""
        described = await self._ask(messages.functions_path())
        return [from_json(each) for each in described["functions"]]

    async def function(self, name: str) -> Function:
        """One function. Raises :class:`polyport.NotFound` when the user may not call it."""
        return from_json(await self._ask(messages.functions_path(name)))

    async def help(self, name: str) -> str:
        """The name, parameters and documentation of a function, to be read."""
        return str(await self.function(name))

    async def aclose(self) -> None:
        """Closes the connections that wait for the next call. Calls that run go on."""
        await self._pool.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    def _named(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._call(name, args, kwargs, self._limit(None))

    async def _call(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], limit: Limit
    ) -> Any:
        call = Call(self._address, name, args, kwargs, messages.PACKED, limit)
        return await _twice(lambda: self._pool.whole(call, messages.PACKED), limit)

    async def _ask(self, path: str) -> Any:
        limit = self._limit(None)
        question = Question(self._address, path, limit)
        return await _twice(lambda: self._pool.whole(question, "application/json"), limit)


class AsyncStream:
    """The items of a stream, as they come. :meth:`aclose` says that no more are wanted."""

    def __init__(self, pool: _Pool, call: Call) -> None:
        self._pool = pool
        self._begin: Call | None = call
        self._limit = call.limit
        self._connection: _Connection | None = None
        self._items = messages.Items()

    @property
    def columns(self) -> list[Column]:
        """The columns of the item that was taken last, empty where it has none."""
        return self._items.columns

    def __aiter__(self) -> AsyncStream:
        return self

    async def __anext__(self) -> Any:
        await self._ensure_begun()
        while self._connection is not None:
            try:
                item = self._items.next()
                if item is not None:
                    return item[0]
                if self._items.over:
                    await self._finish(self._connection)
                    break
                self._items.feed(await self._connection.part(self._limit, messages.SILENCE_S))
            except BaseException:
                self._abort()
                raise
        raise StopAsyncIteration

    async def _ensure_begun(self) -> None:
        call, self._begin = self._begin, None
        if call is None:
            return
        # The time begins with the call, not with this object.
        call.limit = self._limit = self._limit.anew()

        async def begin() -> _Connection:
            connection, head = await self._pool.ask(call)
            if messages.is_stream(head):
                return connection
            await self._pool.answer(connection, head, call.limit, messages.FRAMES)
            raise messages.stranger(head)

        self._connection = await _twice(begin, call.limit)

    async def _finish(self, connection: _Connection) -> None:
        await connection.rest(self._limit, messages.SILENCE_S)
        self._connection = None
        self._pool.put(connection)

    def _abort(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    async def aclose(self) -> None:
        """Ends the stream, and the function that makes it."""
        self._begin = None
        self._abort()

    async def __aenter__(self) -> Self:
        await self._ensure_begun()
        return self

    async def __aexit__(self, *error: object) -> None:
        self._abort()

    def __del__(self) -> None:
        if getattr(self, "_connection", None) is not None:
            self._abort()


async def _twice(attempt: Callable[[], Awaitable[_T]], limit: Limit) -> _T:
    """Sends a request, and again if the first certainly did nothing."""
    try:
        return await attempt()
    except NotRun as first:
        if not limit.leaves(first.pause):
            raise first.fault from first.__cause__
        await asyncio.sleep(first.pause)
    try:
        return await attempt()
    except NotRun as second:
        raise second.fault from second.__cause__


class _Pool:
    """The connections of a client, all of one event loop."""

    def __init__(self, address: Address, connect_s: float) -> None:
        self._address = address
        self._connect_s = connect_s
        self._idle: list[_Connection] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    async def whole(self, request: Call | Question, accept: str) -> Any:
        """Sends a request and reads its answer."""
        connection, head = await self.ask(request)
        return await self.answer(connection, head, request.limit, accept)

    async def ask(self, request: Call | Question) -> tuple[_Connection, Head]:
        """Sends a request and waits for the head of its answer."""
        data = request.encoded()
        connection = self._take() or await self._connect(request.limit)
        try:
            return connection, await connection.ask(data, request.limit, request.harmless)
        except BaseException as error:
            connection.close()
            if isinstance(error, NotRun):
                # What ended this one has ended the others as well.
                await self.close()
            raise

    async def answer(self, connection: _Connection, head: Head, limit: Limit, accept: str) -> Any:
        """Reads the rest of an answer."""
        try:
            body = await connection.rest(limit)
        except BaseException:
            connection.close()
            raise
        self.put(connection)
        return messages.answer(head, body, accept)

    def put(self, connection: _Connection) -> None:
        """Takes back a connection whose answer was read."""
        if connection.is_clean and len(self._idle) < base.IDLE_CONNECTIONS:
            connection.idle_since = time.monotonic()
            self._idle.append(connection)
        else:
            connection.close()

    async def close(self) -> None:
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        # A closed transport gives its socket back in the next turn of the loop.
        await asyncio.sleep(0)

    def _take(self) -> _Connection | None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            # Connections belong to the loop that opened them, and that one is over.
            self._loop, self._idle = loop, []
        while self._idle:
            connection = self._idle.pop()
            old = time.monotonic() - connection.idle_since > base.IDLE_S
            if not old and not connection.has_news():
                return connection
            connection.close()
        return None

    async def _connect(self, limit: Limit) -> _Connection:
        left = limit.left()
        most = self._connect_s if left is None else min(left, self._connect_s)
        try:
            return _Connection(*await asyncio.wait_for(_open(self._address), most))
        except (OSError, asyncio.TimeoutError) as error:
            # Before Python 3.11 the two have nothing in common.
            broken = error if isinstance(error, OSError) else TimeoutError("it took too long")
            raise failures.unreached(self._address, broken, limit) from error


async def _open(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if address.unix is not None:
        return await asyncio.open_unix_connection(address.unix)
    reader, writer = await asyncio.open_connection(
        address.host,
        address.port,
        ssl=address.tls,
        server_hostname=address.host if address.tls else None,
    )
    base.tune(writer.get_extra_info("socket"))
    return reader, writer


class _Connection:
    """One connection, and the answer that is read from it."""

    def __init__(self, incoming: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._incoming = incoming
        self._writer = writer
        self._reader = Reader()
        self.idle_since = 0.0

    @property
    def is_clean(self) -> bool:
        """Whether another request can be sent."""
        return self._reader.is_clean

    def has_news(self) -> bool:
        """Whether the server closed it while it was idle."""
        if self._writer.is_closing() or self._incoming.at_eof():
            return True
        # The loop may not have looked since.
        return base.has_news(self._writer.get_extra_info("socket").fileno())

    async def ask(self, data: bytes, limit: Limit, harmless: bool) -> Head:
        """Sends a request and waits for the head of its answer."""
        self._reader = reader = Reader()
        unsent: OSError | None = None
        self._writer.write(data)
        try:
            await asyncio.wait_for(self._writer.drain(), limit.wait())
        except asyncio.TimeoutError:
            raise failures.late("no") from None
        except OSError as error:
            # A server that has no room, or to which the request is too large, answers before it
            # has read the request, and closes.
            unsent = error
        try:
            while reader.head is None:
                await self._receive(limit, None)
        except faults.Fault as error:
            if unsent is not None or (harmless and isinstance(error, faults.Unavailable)):
                raise NotRun(failures.lost("no")) from (unsent or error)
            raise
        return reader.head

    async def part(self, limit: Limit, silence: float | None = None) -> bytes:
        """Waits for a part of the body."""
        if not (part := self._reader.take()):
            await self._receive(limit, silence)
            part = self._reader.take()
        return part

    async def rest(self, limit: Limit, silence: float | None = None) -> bytes:
        """Waits for the rest of the body."""
        while not self._reader.done:
            await self._receive(limit, silence)
        return self._reader.take()

    async def _receive(self, limit: Limit, silence: float | None) -> None:
        if self._reader.done:
            raise failures.unreadable("the stream has no last frame")
        wait = limit.wait(silence)
        reading = self._incoming.read(base.PIECE_BYTES)
        try:
            data = await (reading if wait is None else asyncio.wait_for(reading, wait))
        except asyncio.TimeoutError:
            raise (failures.late("maybe") if limit.left() == 0 else failures.silent()) from None
        except OSError as error:
            raise failures.lost("maybe") from error
        try:
            if data:
                self._reader.feed(data)
            else:
                self._reader.end()
        except Broken as error:
            raise (failures.unreadable(error) if data else failures.lost("maybe")) from error

    def close(self) -> None:
        """Cuts the connection, which cancels the call that runs on it."""
        with contextlib.suppress(Exception):  # The loop may be closed.
            self._writer.transport.abort()
