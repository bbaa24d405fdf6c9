"""A long job that tells how far it is, and stops when nobody listens any more.

    polyport serve examples/python/progress.py
    polyport call --to msgpack://polyport:PASSWORD@127.0.0.1:5000 copy 100000000
    curl -N -u polyport -H 'Accept: application/x-ndjson' \
        http://127.0.0.1:8308/v1/call/copy -d '[100000000]'

MySQL clients get a row for each step. Ctrl-C in the client ends the generator, and what follows
``finally`` is run.
"""

import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator

import polyport

log = logging.getLogger(__name__)

BLOCK = 1 << 20


@polyport.function(columns=[("percent", int), ("bytes_per_second", int), ("sha256", str)])
def copy(size: int) -> Iterator[tuple[int, int, str | None]]:
    """Writes so many random bytes to a file, a row for each percent; the last has the checksum."""
    checksum = hashlib.sha256()
    began, done, told = time.monotonic(), 0, -1
    try:
        with tempfile.TemporaryFile() as file:
            while done < size:
                block = os.urandom(min(BLOCK, size - done))
                checksum.update(block)
                file.write(block)
                done += len(block)
                percent = 100 * done // size
                if told < percent < 100:
                    told = percent
                    yield percent, _rate(done, began), None
        yield 100, _rate(done, began), checksum.hexdigest()
    finally:
        log.info("%d of %d bytes were written", done, size)


def _rate(done: int, began: float) -> int:
    return int(done / max(time.monotonic() - began, 1e-6))
