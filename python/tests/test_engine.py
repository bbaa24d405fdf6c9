from __future__ import annotations

from typing import Any

from polyport.engine import Channel


class Interrupted:
    """A socket on which something else is sent while it sends, as a signal's handler may."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.channel: Any = None

    def sendall(self, data: bytes) -> None:
        self.sent.append(data[:1])
        if data == b"first":
            self.channel.send(b"late")
        self.sent.append(data[1:])


def test_a_frame_does_not_come_between_the_parts_of_another() -> None:
    socket = Interrupted()
    socket.channel = Channel(socket)  # type: ignore[arg-type]
    socket.channel.send(b"first")
    socket.channel.send(b"second")
    assert b"".join(socket.sent) == b"firstlatesecond"
