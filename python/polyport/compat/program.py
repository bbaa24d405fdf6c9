"""The program that this process runs, and how a worker runs it again."""

from __future__ import annotations

import itertools
import os
import runpy
import sys

FILE, MODULE = "file", "module"

# Kept from when the program began, since it may take its own arguments off the list.
_ARGUMENTS = sys.argv[1:]
_OPTIONS = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv)]

_numbers = itertools.count(1)


def next_number() -> int:
    """The number of another server of this program; every process counts them alike."""
    return next(_numbers)


def command(number: int) -> list[str]:
    """The command that runs this program again, as far as one of its servers."""
    kind, target = _target()
    options = _OPTIONS[:-1] if _OPTIONS[-1:] == ["-m"] else _OPTIONS
    again = [sys.executable, *options, "-m", "polyport.compat"]
    return [*again, str(number), kind, target, *_ARGUMENTS]


def run(kind: str, target: str, arguments: list[str]) -> None:
    """Runs a program as Python does when it starts with it."""
    sys.argv = [target, *arguments]
    # `python -m polyport.compat` has put the working directory in front.
    if sys.path and sys.path[0] in ("", os.getcwd()):
        del sys.path[0]
    if kind == MODULE:
        sys.path.insert(0, os.getcwd())
        runpy.run_module(target, run_name="__main__", alter_sys=True)
    else:
        if os.path.isfile(target):
            sys.path.insert(0, os.path.dirname(target))
        runpy.run_path(target, run_name="__main__")


def _target() -> tuple[str, str]:
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name != "__main__":
        return MODULE, spec.name
    # A folder or an archive with a __main__.py has a specification too, by that name.
    file = sys.argv[0] if spec is not None else getattr(main, "__file__", None)
    if not file:
        raise RuntimeError("the workers run the program's file again, so it must be in a file")
    return FILE, os.path.abspath(file)
