"""Fixtures: programs that run, and a client of one of their protocols."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from programs import ROOT, Program


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Starts a program, and ends it after the test."""
    with ExitStack() as stack:
        yield lambda *args, **kwargs: stack.enter_context(Program(tmp_path, *args, **kwargs))


@pytest.fixture(scope="session")
def client_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python with the client of pymprpc, which needs one before 3.13 and an old msgpack."""
    base = next(
        filter(_has_telnetlib, [sys.executable, "python3.11", "python3.12", "python3.10"]), None
    )
    if base is None:
        pytest.skip("there is no Python that has telnetlib, which pymprpc's client needs")
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([base, "-m", "venv", folder], check=True)
    python = str(folder / "bin" / "python")
    requirements = str(ROOT / "tests" / "python" / "requirements-tour.txt")
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", requirements], check=True)
    return python


def _has_telnetlib(python: str) -> bool:
    found = shutil.which(python)
    test = [python, "-W", "ignore", "-c", "import ensurepip, telnetlib"]
    return (
        found is not None and subprocess.run(test, capture_output=True, check=False).returncode == 0
    )
