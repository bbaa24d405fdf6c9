"""HTTP/1.1 as a client speaks it: pure, without a socket or a clock."""

from __future__ import annotations

#: Bytes of the head of an answer, and of one line within its body.
HEAD_BYTES = 64 * 1024


class Broken(Exception):
    """What the server sent is no HTTP."""


class Head:
    """The status and the headers of an answer."""

    __slots__ = ("headers", "keep_alive", "status")

    def __init__(self, status: int, headers: dict[str, str], keep_alive: bool) -> None:
        self.status = status
        #: By their names in small letters.
        self.headers = headers
        #: Whether the connection can be used again.
        self.keep_alive = keep_alive

    @property
    def media_type(self) -> str:
        """The type of the body, without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def request(method: str, target: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """A request."""
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body or method == "POST":
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join((*lines, "\r\n")).encode("ascii") + body


class Reader:
    """Reads one answer from the bytes of a connection, however they are cut."""

    def __init__(self) -> None:
        #: The head, once it has arrived.
        self.head: Head | None = None
        #: Whether all of the answer was read.
        self.done = False
        self._partial = bytearray()
        self._body = bytearray()
        # Bytes to come of the body or of one chunk; None is until the connection ends.
        self._left: int | None = 0
        self._step = self._read_head

    def feed(self, data: bytes) -> None:
        """Takes what arrived. Raises :class:`Broken`."""
        self._partial += data
        while not self.done and self._step():
            pass

    def end(self) -> None:
        """Takes the end of the connection. Raises :class:`Broken` within an answer."""
        if self.head is not None and self._left is None:
            self.done = True
        if not self.done:
            raise Broken("the connection ended within an answer")

    def take(self) -> bytes:
        """The part of the body that has arrived and was not taken."""
        body = bytes(self._body)
        self._body.clear()
        return body

    @property
    def is_clean(self) -> bool:
        """Whether the connection can be used for another request."""
        return self.done and not self._partial and self.head is not None and self.head.keep_alive

    def _line(self, end: bytes) -> bytes | None:
        at = self._partial.find(end)
        if (len(self._partial) if at < 0 else at) > HEAD_BYTES:
            raise Broken(f"more than {HEAD_BYTES} bytes of headers")
        if at < 0:
            return None
        line = bytes(self._partial[:at])
        del self._partial[: at + len(end)]
        return line

    def _read_head(self) -> bool:
        text = self._line(b"\r\n\r\n")
        if text is None:
            return False
        head = _head(text)
        if head.status < 200:  # Such as "continue": the answer itself follows.
            return True
        self.head = head
        length = head.headers.get("content-length")
        coding = head.headers.get("transfer-encoding", "").lower()
        if head.status in (204, 304):
            self.done = True
        elif coding == "chunked":
            self._step = self._read_size
        elif coding:
            raise Broken(f"the transfer coding {coding!r}")
        elif length is None:
            head.keep_alive = False
            self._left = None
            self._step = self._read_body
        elif not (length.isascii() and length.isdigit()):
            raise Broken(f"the length {length!r}")
        else:
            self._left = int(length)
            self._step = self._read_body
        return True

    def _read_body(self) -> bool:
        if self._left is None:
            self._body += self._partial
            self._partial.clear()
            return False
        self._move()
        self.done = self._left == 0
        return False

    def _read_size(self) -> bool:
        line = self._line(b"\r\n")
        if line is None:
            return False
        digits = line.partition(b";")[0].strip()
        try:
            self._left = int(digits, 16)
        except ValueError:
            self._left = -1
        if self._left < 0 or not digits.isalnum():
            raise Broken(f"a chunk of the length {digits!r}")
        self._step = self._read_chunk if self._left else self._read_trailer
        return True

    def _read_chunk(self) -> bool:
        self._move()
        if self._left or len(self._partial) < 2:
            return False
        if self._partial[:2] != b"\r\n":
            raise Broken("a chunk is longer than its length")
        del self._partial[:2]
        self._step = self._read_size
        return True

    def _read_trailer(self) -> bool:
        line = self._line(b"\r\n")
        self.done = line == b""
        return bool(line)

    def _move(self) -> None:
        part = self._partial[: self._left]
        self._body += part
        del self._partial[: len(part)]
        self._left = (self._left or 0) - len(part)


def _head(text: bytes) -> Head:
    first, *lines = text.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    status = rest[:3]
    if version not in ("HTTP/1.1", "HTTP/1.0") or not (status.isascii() and status.isdigit()):
        raise Broken(f"an answer that begins {first[:40]!r}")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name, value = name.lower(), value.strip()
        if not colon or not name or name != name.strip():
            raise Broken(f"the header {line[:40]!r}")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    tokens = [token.strip() for token in headers.get("connection", "").lower().split(",")]
    keep_alive = "keep-alive" in tokens if version == "HTTP/1.0" else "close" not in tokens
    return Head(int(status), headers, keep_alive)
