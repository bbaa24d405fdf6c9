"""Fixtures: a worker that runs a given source."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from server import Worker


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Starts a worker with an application, and ends it after the test."""
    with ExitStack() as stack:

        def start(source: str, pool: str | None = "plain", **settings: Any) -> Worker:
            keys = {key: settings.pop(key) for key in ("app", "start") if key in settings}
            worker = stack.enter_context(Worker(tmp_path, source, **keys))
            return worker if pool is None else worker.welcome(pool, **settings)

        yield start
