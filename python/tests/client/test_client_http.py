"""HTTP as the client reads it: every cut, and what no server should send."""

from __future__ import annotations

import random

import pytest

from polyport.client.http import HEAD_BYTES, Broken, Head, Reader, request

SIZED = b"HTTP/1.1 200 OK\r\nContent-Type: a/b; c=d\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\nX: 1\r\nx: 2\r\n"
    b"\r\n3\r\nhel\r\n02;a=b\r\nlo\r\n0\r\nTrailer: x\r\n\r\n"
)
UNTIL_END = b"HTTP/1.1 200 OK\r\n\r\nhello"
EMPTY = b"HTTP/1.1 204 No Content\r\nConnection: Close\r\n\r\n"


def read(*parts: bytes) -> tuple[Reader, bytes]:
    reader, body = Reader(), b""
    for part in parts:
        reader.feed(part)
        body += reader.take()
    return reader, body


@pytest.mark.parametrize("answer", [SIZED, CHUNKED, UNTIL_END, EMPTY])
def test_every_cut_reads_the_same(answer: bytes) -> None:
    whole, body = read(answer)
    assert body == (b"" if answer is EMPTY else b"hello")
    for cut in range(len(answer) + 1):
        reader, parts = read(answer[:cut], answer[cut:])
        assert parts == body
        assert isinstance(reader.head, Head) and isinstance(whole.head, Head)
        assert (reader.head.status, reader.head.headers) == (whole.head.status, whole.head.headers)
        assert (reader.done, reader.is_clean) == (whole.done, whole.is_clean)
    single, parts = read(*(answer[at : at + 1] for at in range(len(answer))))
    assert (parts, single.done) == (body, whole.done)


def test_the_head_is_as_it_was_sent() -> None:
    head = read(CHUNKED)[0].head
    assert head is not None
    assert (head.status, head.headers["x"], head.keep_alive) == (503, "1, 2", True)
    head = read(SIZED)[0].head
    assert head is not None and head.media_type == "a/b"


def test_a_connection_is_used_again_only_when_the_answer_ended_well() -> None:
    assert read(SIZED)[0].is_clean
    assert read(CHUNKED)[0].is_clean
    assert not read(SIZED[:-1])[0].is_clean
    assert not read(SIZED + b"H")[0].is_clean
    assert not read(EMPTY)[0].is_clean
    assert not read(SIZED.replace(b"1.1", b"1.0"))[0].is_clean
    assert read(SIZED.replace(b"1.1 200 OK", b"1.0 200 OK\r\nConnection: keep-alive"))[0].is_clean


def test_the_end_of_a_connection_ends_only_what_has_no_length() -> None:
    reader, _ = read(UNTIL_END)
    assert not reader.done
    reader.end()
    assert reader.done and not reader.is_clean
    for part in (b"", SIZED[:10], SIZED[:-1], CHUNKED[:-1], CHUNKED[:30]):
        reader, _ = read(part)
        with pytest.raises(Broken):
            reader.end()


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 2\xb2\xb2 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n a: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1_0\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * (HEAD_BYTES + 1),
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * (HEAD_BYTES + 1),
    ],
)
def test_what_is_no_http_is_refused(answer: bytes) -> None:
    with pytest.raises(Broken):
        read(answer)


def test_ten_thousand_mutations_neither_hang_nor_surprise() -> None:
    chance = random.Random(5)
    good = 0
    for _ in range(10_000):
        answer = bytearray(chance.choice((SIZED, CHUNKED, UNTIL_END)))
        for _ in range(chance.randint(1, 3)):
            answer[chance.randrange(len(answer))] = chance.choice(b"\r\n 0:\xff5f;x")
        try:
            reader, body = read(bytes(answer))
            assert len(body) <= len(answer)
            good += reader.done
        except Broken:
            pass
    assert good > 500


def test_a_request_is_one_piece() -> None:
    asked = request("POST", "/v1/call/f", {"host": "h"}, b"\x00\xff")
    assert asked == b"POST /v1/call/f HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\n\x00\xff"
    assert request("GET", "/", {}) == b"GET / HTTP/1.1\r\n\r\n"
