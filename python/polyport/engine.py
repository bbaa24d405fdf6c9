"""What all engines share: the socket, the table of functions, answers, and calls of their own."""

from __future__ import annotations

import os
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Generator
from typing import Any, NoReturn

from polyport import faults, frames, values
from polyport.application import Application, Entry, Pool
from polyport.context import Call
from polyport.describe import Shape
from polyport.frames import (
    CALL,
    CANCEL,
    CREDIT,
    DONE,
    DRAIN,
    FAIL,
    ITEM,
    LEAVE,
    LOG,
    PING,
    PONG,
    STREAM,
    ProtocolError,
)
from polyport.outgoing import Pending, Stream
from polyport.results import to_columns

#: Bytes that are read from the socket at once.
_READ_BYTES = 64 * 1024


class Channel:
    """The socket to the server."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        # Taken again by the same thread when the collector or a signal makes something log that
        # holds it: asyncio, for one, logs when it forgets a task whose exception nobody asked for.
        self.lock = threading.RLock()
        self.is_open = True
        self._is_sending = False
        self._late: list[bytes | bytearray] = []
        self._reader = frames.Reader()
        os.register_at_fork(after_in_child=self._forked)

    def limit(self, message_bytes: int) -> None:
        """Sets the longest frame."""
        try:
            self._reader.limit(message_bytes)
        except ProtocolError as error:
            stop(error)

    def feed(self, data: bytes) -> list[list[Any]]:
        """The frames that are complete with what arrived; nothing is the end of the process."""
        if not data:
            leave(0)
        try:
            return self._reader.feed(data)
        except ProtocolError as error:
            stop(error)

    def receive(self, wait: bool = True) -> list[list[Any]]:
        """The frames that have arrived, at least some bytes when it is to wait."""
        try:
            data = self.socket.recv(_READ_BYTES, 0 if wait else socket.MSG_DONTWAIT)
        except BlockingIOError:
            return []
        except ConnectionError:
            data = b""
        return self.feed(data)

    def send(self, data: bytes | bytearray) -> None:
        """Sends frames."""
        with self.lock:
            if self._is_sending:  # A frame must not come between the parts of another.
                self._late.append(data)
                return
            self._is_sending = True
            try:
                if self.is_open:
                    self.socket.sendall(data)
                while self._late:
                    self.socket.sendall(self._late.pop(0))
            except ConnectionError:
                leave(0)
            finally:
                self._is_sending = False

    def _forked(self) -> None:
        # The lock may have been held by a thread that the child does not have.
        self.lock = threading.RLock()
        self.is_open = False
        self.socket.close()


class Engine:
    """Runs the calls of one pool. Each way of running them is a subclass."""

    def __init__(self, channel: Channel, application: Application, pool: Pool) -> None:
        self.channel = channel
        self.application = application
        self.pool = pool
        self.message_bytes = 0xFFFF_FFFF
        self.draining = False
        self._table = {e.name: e for e in application.entries.values() if e.pool is pool}
        self._pending: dict[int, Pending] = {}
        self._abandoned: list[Pending] = []
        self._last_id = 0
        self._handlers: dict[int, Callable[[list[Any]], None]] = {
            CALL: self.on_call,
            STREAM: self.on_answer,
            ITEM: self.on_answer,
            DONE: self.on_answer,
            FAIL: self.on_answer,
            CANCEL: self.on_cancel,
            CREDIT: self.on_credit,
            PING: lambda frame: self.send_frame([PONG, frame[1]]),
            DRAIN: self.on_drain,
            LEAVE: lambda frame: self.application.leave(frame[1]),
        }

    def run(self, arrived: list[list[Any]]) -> None:
        """Serves the frames that have arrived, and all others until the server sends DRAIN."""
        raise NotImplementedError

    def send(self, data: bytes) -> None:
        """Sends frames, from any thread."""
        self.channel.send(data)

    def poll(self) -> None:
        """Reads what has arrived, where nobody else does."""

    def handle(self, frame: list[Any]) -> None:
        """Does what a frame says. A frame of an unknown kind is passed over."""
        handler = self._handlers.get(frame[0])
        if handler is not None:
            try:
                handler(frame)
            except ProtocolError as error:
                stop(error)

    def on_call(self, frame: list[Any]) -> None:
        """Runs a call, or keeps it until it can run."""
        raise NotImplementedError

    def on_cancel(self, frame: list[Any]) -> None:
        """Stops a call that nobody wants the result of."""
        raise NotImplementedError

    def on_credit(self, frame: list[Any]) -> None:
        """Lets a stream go on."""
        raise NotImplementedError

    def on_drain(self, frame: list[Any]) -> None:
        """Finishes what runs."""
        self.draining = True

    def on_answer(self, frame: list[Any]) -> None:
        """Hands an answer to who waits for it."""
        kind, id = frame[0], frame[1]
        pending = self._pending.get(id)
        if pending is not None:
            if kind in (DONE, FAIL):
                del self._pending[id]
            pending.put(frame)

    # Answers.

    def send_frame(self, array: list[Any]) -> None:
        """Packs and sends one frame."""
        self.send(frames.frame(values.pack(array)))

    def answer(self, kind: int, id: int, name: str, value: Any) -> tuple[bytes, bool]:
        """The frame that answers with a value, and whether it does: else it is a FAIL."""
        try:
            body = values.pack_reply(id, kind, value)
        except Exception as error:
            text = f"what '{name}' returned cannot be sent: {error}"
            return self.refusal(id, "raised", text, "yes", "TypeError"), False
        if len(body) > self.message_bytes:
            text = f"the result of '{name}' takes {len(body)} bytes; {self.message_bytes} are sent"
            return self.refusal(id, "too_large", text, "yes"), False
        return frames.frame(body), True

    def failure(self, id: int, error: BaseException) -> bytes:
        """The FAIL for an exception."""
        if isinstance(error, faults.Refused):
            return self.refusal(id, error.kind, str(error))
        fault = faults.to_wire(error)
        body = values.pack([FAIL, id, fault])
        if len(body) > self.message_bytes:
            fault = {"kind": fault["kind"], "message": fault["message"][:200]}
            body = values.pack([FAIL, id, fault])
        return frames.frame(body)

    def refusal(self, id: int, kind: str, text: str, ran: str = "no", of: str = "") -> bytes:
        """The FAIL for what is no exception of the function's."""
        fault = {"kind": kind, "message": text, "ran": ran}
        if of:
            fault["class"] = of
        return frames.frame(values.pack([FAIL, id, fault]))

    def find(self, frame: list[Any]) -> tuple[Entry, Call, list[Any]]:
        """What a CALL is for: the function, the call, and the elements of its arguments."""
        id, name, sent, context = frame[1], frame[2], frame[3], frame[5]
        if type(sent) is not list or type(context) is not list or len(context) < 7:
            stop(ProtocolError("a CALL without an array of arguments, or without its context"))
        if type(context[0]) is not int or type(context[5]) is not int:
            stop(ProtocolError("a CALL whose session or chain is no integer"))
        if id < 1:
            stop(ProtocolError(f"a CALL whose number is {id}; they begin with 1"))
        entry = self._table.get(name) if type(name) is str else None
        return entry or self._unknown(name), Call(id, context, self), sent

    def _unknown(self, name: Any) -> Entry:
        """What answers for a function that this pool does not have."""

        def refuse(*sent: Any) -> NoReturn:
            text = f"the pool '{self.pool.name}' has no function '{name}'"
            raise faults.Refused("not_found", text)

        shape = Shape(count=1, rest=0)
        entry = Entry(str(name), self.pool, "plain", [], "any", "", shape, target=refuse)
        entry.direct = refuse
        return entry

    def check_process(self, error: BaseException | None = None) -> None:
        """Ends a process that a function forked and then came back from."""
        if self.channel.is_open:
            return
        status = 0
        if isinstance(error, SystemExit):
            status = error.code if isinstance(error.code, int) else 1 if error.code else 0
        elif error is not None:
            traceback.print_exception(type(error), error, error.__traceback__)
            status = 1
        leave(status)

    # Calls of the server's functions.

    def call(self, serving: Call, name: str, args: Any, kwargs: Any, timeout: float | None) -> Any:
        """Calls a function of the server's and waits."""
        return self.call_with(Pending, serving, name, args, kwargs, timeout)

    def call_with(
        self,
        kind: type[Pending],
        serving: Call,
        name: str,
        args: Any,
        kwargs: Any,
        timeout: float | None,
    ) -> Any:
        """Sends a CALL and waits in the way of one kind of pending answer."""
        pending = self.begin(kind, serving, name, args, kwargs, timeout)
        return self.result(pending, self.wait(pending), Stream)

    async def acall(
        self, serving: Call, name: str, args: Any, kwargs: Any, timeout: float | None
    ) -> Any:
        """Calls a function of the server's. Without a loop of the engine's own it just waits."""
        return self.call(serving, name, args, kwargs, timeout)

    def wait(self, pending: Any) -> list[Any]:
        """Waits for the next frame of an answer."""
        raise NotImplementedError

    async def await_frame(self, pending: Any) -> list[Any]:
        """Waits for the next frame of an answer, in a coroutine."""
        return self.wait(pending)

    def begin(
        self,
        kind: type[Pending],
        serving: Call,
        name: str,
        args: Any,
        kwargs: Any,
        timeout: float | None,
    ) -> Any:
        """Sends a CALL, and keeps what its answer will be put into."""
        if not self.channel.is_open:
            raise RuntimeError("a forked process cannot call the server")
        if not isinstance(name, str):
            raise TypeError(f"the name of a function is a text, not {name!r}")
        self.drop_abandoned()
        context = [serving._id, None if timeout is None else max(1, int(timeout * 1000))]
        # Packed first, since an argument that cannot be sent must not leave a hole in the numbers.
        rest = values.pack([name, list(args), kwargs or None, context])[1:]
        if len(rest) + 16 > self.message_bytes:
            raise faults.TooLarge(f"the arguments take {len(rest)} bytes", ran="no")
        with self.channel.lock:
            self._last_id += 1
            pending = kind(self._last_id, serving._chain)
            self._pending[pending.id] = pending
            head = values.pack([CALL, pending.id])[1:]
            # Within the lock, so that calls leave in the order of their numbers.
            self.send(frames.frame(b"\x96" + head + rest))
        return pending

    def result(self, pending: Any, frame: list[Any], stream: Any) -> Any:
        """What the first frame of an answer gives to who called."""
        if frame[0] == DONE:
            return frame[2]
        if frame[0] == STREAM:
            try:
                columns = to_columns(frame[2] or ())
            except (TypeError, ValueError) as error:
                stop(ProtocolError(str(error)))
            return stream(self, pending, columns)
        if frame[0] == FAIL:
            raise faults.from_wire(frame[2])
        stop(ProtocolError("an ITEM before its STREAM"))

    def forget(self, pending: Pending) -> bool:
        """Drops an answer that nobody waits for; whether it had not come whole."""
        return self._pending.pop(pending.id, None) is not None

    def abandon(self, pending: Pending) -> None:
        """Notes a stream that nobody reads any more, to be cancelled when there is time."""
        self._abandoned.append(pending)

    def drop_abandoned(self) -> None:
        """Cancels the streams that nobody reads any more."""
        while self._abandoned:
            pending = self._abandoned.pop()
            if self.forget(pending):
                self.send_frame([CANCEL, pending.id])

    # The log.

    def log(self, level: str, target: str, message: str, fields: dict[str, Any]) -> None:
        """Gives a record to the server's log."""
        body = values.pack([LOG, level, target, message, fields])
        if len(body) > self.message_bytes:
            body = values.pack([LOG, level, target[:200], message[:1000], {}])
        self.send(frames.frame(body))


def close_quietly(generator: Generator[Any, None, Any]) -> None:
    """Closes a generator whose call is answered already; what it raises goes to standard error."""
    try:
        generator.close()
    except BaseException:
        traceback.print_exc()


def leave(status: int) -> NoReturn:
    """Ends the process at once, with whatever it is doing."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass
    os._exit(status)


def stop(error: ProtocolError) -> NoReturn:
    """Ends the process because of what the server sent."""
    print(f"polyport worker: {error}", file=sys.stderr)
    leave(1)
