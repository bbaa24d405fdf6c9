"""Functions that behave as badly as Python lets them, beside some that do not."""
import asyncio
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time

import polyport

VERSION = 1
kept = []


@polyport.function
def plus(a: int, b: int) -> int:
    return a + b


@polyport.function
def slow_plus(a: int, b: int) -> int:
    time.sleep(0.005)
    return a + b


@polyport.function
def version() -> int:
    return VERSION


@polyport.function
def pid() -> int:
    return os.getpid()


@polyport.function
async def later(a: int, b: int) -> int:
    await asyncio.sleep(0.001)
    return a + b


@polyport.function
def leak(size: int) -> int:
    kept.append(bytearray(os.urandom(1)) * size)
    return os.getpid()


@polyport.function
def hang() -> None:
    while True:
        pass


@polyport.function
def moody(hangs: bool = False) -> int:
    """As quick as any, but for one call."""
    while hangs:
        pass
    return os.getpid()


@polyport.function
def hang_in_c() -> None:
    """Keeps Python's lock, so that no other thread of the process runs either."""
    ctypes.PyDLL(None).sleep(1000)


@polyport.function
def hang_deaf() -> None:
    """Cannot be asked to end."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    threading.Event().wait()


@polyport.function
def stop_process() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


@polyport.function
def fork_and_return() -> int:
    """The child comes back from the function as well."""
    child = os.fork()
    return child or os.getpid()


@polyport.function
def fork_and_stay() -> int:
    child = os.fork()
    if child == 0:
        time.sleep(1000)
        os._exit(0)
    return child


@polyport.function
def fork_and_raise() -> int:
    child = os.fork()
    if child == 0:
        raise KeyError("in the child")
    return os.waitpid(child, 0)[1]


def square(n):
    return n * n


@polyport.function
def in_processes(n: int) -> list:
    with multiprocessing.Pool(2) as pool:
        return pool.map(square, range(n))


@polyport.function
def write(size: int) -> int:
    """Without an end of a line."""
    sys.stdout.write("o" * size)
    sys.stderr.write("e" * size)
    os.write(1, b"o" * size)
    return size


@polyport.function
def write_lines(count: int) -> int:
    for n in range(count):
        print("line", n)
    return count


@polyport.function
def write_binary() -> None:
    os.write(1, bytes(range(256)) * 100)
    os.write(2, b"\xff\xfe\n\x00\n" * 100)


@polyport.function
def close_output() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.close()
    for number in (1, 2):
        os.close(number)


@polyport.function
def read_input() -> str:
    return sys.stdin.read() + os.read(0, 10).decode()


@polyport.function
def ask() -> str:
    return input("your name? ")


@polyport.function
def leave(status: int) -> None:
    sys.exit(status)


@polyport.function
def leave_now(status: int) -> None:
    os._exit(status)


@polyport.function
def interrupt() -> None:
    raise KeyboardInterrupt


@polyport.function
def segfault() -> None:
    ctypes.string_at(0)


@polyport.function
def abort() -> None:
    os.abort()


@polyport.function
def close_everything() -> None:
    os.closerange(3, 256)


@polyport.function
def recurse(n: int = 0) -> int:
    return recurse(n + 1)


@polyport.function
def take_all_memory() -> None:
    bytearray(1 << 60)


@polyport.function
def unsendable() -> object:
    return object()


@polyport.function
def endless_list() -> list:
    own: list = []
    own.append(own)
    return own


@polyport.function
def raise_oddly() -> None:
    class Odd(Exception):
        def __str__(self):
            raise ValueError("no text either")

    raise Odd


@polyport.function
def huge(size: int) -> str:
    return "x" * size


@polyport.function
def breaks_off(n: int):
    yield from range(n)
    raise LookupError("no more")


@polyport.function
def exits_within(n: int):
    yield from range(n)
    sys.exit(1)


@polyport.function
def dies_within(n: int):
    yield from range(n)
    os._exit(1)


@polyport.function
def never_closes():
    """Goes on whatever it is told."""
    while True:
        try:
            while True:
                yield 1
        except GeneratorExit:
            time.sleep(0.01)


@polyport.function
def numbers():
    n = 0
    while True:
        n += 1
        yield n


@polyport.function
async def block_loop(seconds: float) -> str:
    time.sleep(seconds)
    return "done"


@polyport.function
async def never_cancelled() -> None:
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            pass


@polyport.function
async def leave_task_behind() -> str:
    async def later_still():
        await asyncio.sleep(0.05)
        raise RuntimeError("nobody waits for this")

    asyncio.ensure_future(later_still())
    return "done"


@polyport.function(threads=4)
def in_thread(a: int, b: int) -> int:
    return a + b


@polyport.function(threads=4)
def thread_leaves() -> None:
    sys.exit(2)


@polyport.function(threads=4)
def thread_hangs() -> None:
    threading.Event().wait()
