"""The client for programs without coroutines."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
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


class Client(base.Base):
    """A server, as a program calls its functions. Threads may share one.

    ``url`` is ``http://host:port``, with ``user:password@`` before the host or not, ``https://`` for
    TLS, or ``http+unix:///run/polyport.sock``. Without it the environment's ``POLYPORT_URL`` says
    where the server is, and without that it is on this machine, at its usual port. ``token`` logs in instead of a user; ``ca`` is a file
    of certificates to trust instead of the system's, ``tls`` a context with more than that.
    ``timeout`` is how many seconds a call may take where it does not say itself.

    A request that the server was too busy to run, or that did not reach it, is sent once more.
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

    def call(self, name: str, /, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        """Calls a function and waits for its result.

        With ``timeout`` the call ends after so many seconds, here and there, with
        :class:`polyport.Timeout`. The items of a stream come as a list.

        >>> client.call("math.add", 3, b=4)
        7

        A function that has a parameter called ``timeout`` itself is called by
        :meth:`~polyport.client.base.Base.within` and its name as an attribute.
        """
        return self._call(name, args, kwargs, self._limit(timeout))

    def stream(
        self, name: str, /, *args: Any, timeout: float | None = None, **kwargs: Any
    ) -> Stream:
        """Calls a function and gives the items of its result as they come.

        The rows of a table come as lists; :attr:`Stream.columns` has their names. A result that is
        no stream is one item.

        >>> with client.stream("math.count", 1000) as numbers:
        ...     for number in numbers:
        ...         if number == 2:
        ...             break  # The function is stopped.
        >>> number
        2
        """
        limit = self._limit(timeout)
        call = Call(self._address, name, args, kwargs, messages.FRAMES, limit)

        def begin() -> Stream:
            connection, head = self._pool.ask(call)
            if messages.is_stream(head):
                return Stream(self._pool, connection, limit)
            self._pool.answer(connection, head, limit, messages.FRAMES)
            raise messages.stranger(head)

        return _twice(begin, limit)

    def functions(self) -> list[Function]:
        """Every function that the user may call, in the order of their names.

        >>> [function.name for function in client.functions() if function.name.startswith("math")]
        ['math.add', 'math.count']
        """
        described = self._ask(messages.functions_path())
        return [from_json(each) for each in described["functions"]]

    def function(self, name: str) -> Function:
        """One function. Raises :class:`polyport.NotFound` when the user may not call it.

        >>> client.function("math.add").returns
        'int'
        """
        return from_json(self._ask(messages.functions_path(name)))

    def help(self, name: str) -> str:
        """The name, parameters and documentation of a function, to be read.

        >>> print(client.help("math.add"))
        math.add(a: int, b: int = 10) -> int
        <BLANKLINE>
        Adds two numbers.
        """
        return str(self.function(name))

    def close(self) -> None:
        """Closes the connections that wait for the next call. Calls that run go on."""
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _named(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._call(name, args, kwargs, self._limit(None))

    def _call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], limit: Limit) -> Any:
        call = Call(self._address, name, args, kwargs, messages.PACKED, limit)
        return _twice(lambda: self._pool.whole(call, messages.PACKED), limit)

    def _ask(self, path: str) -> Any:
        limit = self._limit(None)
        question = Question(self._address, path, limit)
        return _twice(lambda: self._pool.whole(question, "application/json"), limit)


class Stream:
    """The items of a stream, as they come. :meth:`close` says that no more are wanted."""

    def __init__(self, pool: _Pool, connection: _Connection, limit: Limit) -> None:
        self._pool = pool
        self._connection: _Connection | None = connection
        self._limit = limit
        self._items = messages.Items()

    @property
    def columns(self) -> list[Column]:
        """The columns of the item that was taken last, empty where it has none."""
        return self._items.columns

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Any:
        while self._connection is not None:
            try:
                item = self._items.next()
                if item is not None:
                    return item[0]
                if self._items.over:
                    self._finish(self._connection)
                    break
                self._items.feed(self._connection.part(self._limit, messages.SILENCE_S))
            except BaseException:
                self.close()
                raise
        raise StopIteration

    def _finish(self, connection: _Connection) -> None:
        connection.rest(self._limit, messages.SILENCE_S)
        self._connection = None
        self._pool.put(connection)

    def close(self) -> None:
        """Ends the stream, and the function that makes it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __del__(self) -> None:
        # A constructor that failed has left nothing to close.
        if getattr(self, "_connection", None) is not None:
            self.close()


def _twice(attempt: Callable[[], _T], limit: Limit) -> _T:
    """Sends a request, and again if the first certainly did nothing."""
    try:
        return attempt()
    except NotRun as first:
        if not limit.leaves(first.pause):
            raise first.fault from first.__cause__
        time.sleep(first.pause)
    try:
        return attempt()
    except NotRun as second:
        raise second.fault from second.__cause__


class _Pool:
    """The connections of a client."""

    def __init__(self, address: Address, connect_s: float) -> None:
        self._address = address
        self._connect_s = connect_s
        self._lock = threading.Lock()
        self._idle: list[_Connection] = []
        self._process = os.getpid()

    def whole(self, request: Call | Question, accept: str) -> Any:
        """Sends a request and reads its answer."""
        connection, head = self.ask(request)
        return self.answer(connection, head, request.limit, accept)

    def ask(self, request: Call | Question) -> tuple[_Connection, Head]:
        """Sends a request and waits for the head of its answer."""
        data = request.encoded()
        connection = self._take() or self._connect(request.limit)
        try:
            return connection, connection.ask(data, request.limit, request.harmless)
        except BaseException as error:
            connection.close()
            if isinstance(error, NotRun):
                # What ended this one has ended the others as well.
                self.close()
            raise

    def answer(self, connection: _Connection, head: Head, limit: Limit, accept: str) -> Any:
        """Reads the rest of an answer."""
        try:
            body = connection.rest(limit)
        except BaseException:
            connection.close()
            raise
        self.put(connection)
        return messages.answer(head, body, accept)

    def put(self, connection: _Connection) -> None:
        """Takes back a connection whose answer was read."""
        if connection.is_clean:
            self._forget_parent()
            connection.idle_since = time.monotonic()
            with self._lock:
                if len(self._idle) < base.IDLE_CONNECTIONS:
                    self._idle.append(connection)
                    return
        connection.close()

    def close(self) -> None:
        """Closes the connections that nobody uses."""
        self._forget_parent()
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def __del__(self) -> None:
        self.close()

    def _forget_parent(self) -> None:
        """Leaves the connections to the process that forked this one, and the lock as it was."""
        if self._process != os.getpid():
            self._lock, self._idle, self._process = threading.Lock(), [], os.getpid()

    def _take(self) -> _Connection | None:
        self._forget_parent()
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            old = time.monotonic() - connection.idle_since > base.IDLE_S
            if not old and not connection.has_news():
                return connection
            connection.close()

    def _connect(self, limit: Limit) -> _Connection:
        left = limit.left()
        most = self._connect_s if left is None else min(left, self._connect_s)
        try:
            return _Connection(_open(self._address, most))
        except OSError as error:
            raise failures.unreached(self._address, error, limit) from error


def _open(address: Address, seconds: float) -> socket.socket:
    if address.unix is not None:
        plain = socket.socket(socket.AF_UNIX)
        try:
            plain.settimeout(seconds)
            plain.connect(address.unix)
        except BaseException:
            plain.close()
            raise
        return plain
    plain = socket.create_connection((address.host, address.port), seconds)
    try:
        base.tune(plain)
        if address.tls is None:
            return plain
        return address.tls.wrap_socket(plain, server_hostname=address.host)
    except BaseException:
        plain.close()
        raise


class _Connection:
    """One connection, and the answer that is read from it."""

    def __init__(self, plain: socket.socket) -> None:
        self._socket = plain
        self._reader = Reader()
        self.idle_since = 0.0

    @property
    def is_clean(self) -> bool:
        """Whether another request can be sent."""
        return self._reader.is_clean

    def has_news(self) -> bool:
        """Whether the server closed it while it was idle."""
        return base.has_news(self._socket.fileno())

    def ask(self, data: bytes, limit: Limit, harmless: bool) -> Head:
        """Sends a request and waits for the head of its answer."""
        self._reader = reader = Reader()
        unsent: OSError | None = None
        try:
            self._socket.settimeout(limit.wait())
            self._socket.sendall(data)
        except TimeoutError:
            raise failures.late("no") from None
        except OSError as error:
            # A server that has no room, or to which the request is too large, answers before it
            # has read the request, and closes.
            unsent = error
        try:
            while reader.head is None:
                self._receive(limit, None)
        except faults.Fault as error:
            if unsent is not None or (harmless and isinstance(error, faults.Unavailable)):
                raise NotRun(failures.lost("no")) from (unsent or error)
            raise
        return reader.head

    def part(self, limit: Limit, silence: float | None = None) -> bytes:
        """Waits for a part of the body."""
        if not (part := self._reader.take()):
            self._receive(limit, silence)
            part = self._reader.take()
        return part

    def rest(self, limit: Limit, silence: float | None = None) -> bytes:
        """Waits for the rest of the body."""
        while not self._reader.done:
            self._receive(limit, silence)
        return self._reader.take()

    def _receive(self, limit: Limit, silence: float | None) -> None:
        if self._reader.done:
            raise failures.unreadable("the stream has no last frame")
        try:
            self._socket.settimeout(limit.wait(silence))
            data = self._socket.recv(base.PIECE_BYTES)
        except TimeoutError:
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
        with contextlib.suppress(OSError):
            self._socket.close()
