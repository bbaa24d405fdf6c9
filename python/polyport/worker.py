"""The process that the server starts: ``python -m polyport.worker app.py``."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import logging
import os
import platform
import socket
import sys
import sysconfig
import traceback
import types
from typing import Any

from polyport import faults, frames, values
from polyport.application import APPLICATION, Application
from polyport.asynchronous import AsyncEngine
from polyport.engine import Channel, Engine, leave, stop
from polyport.frames import DRAIN, HELLO, PING, PONG, VERSION, WELCOME, ProtocolError
from polyport.logs import Handler
from polyport.plain import PlainEngine
from polyport.threads import ThreadsEngine

_USAGE = """\
This is what `polyport serve app.py` starts to run the functions of app.py; it is not for use by
hand. It was started without the socket that it talks to the server through.
"""


def main(arguments: list[str]) -> int:
    """Serves the application that the one argument names; gives the exit status."""
    if os.environ.get("POLYPORT_WORKER") != str(VERSION) or len(arguments) != 1:
        sys.stderr.write(_USAGE)
        return 2
    try:
        channel = Channel(take_socket())
    except OSError as error:
        sys.stderr.write(f"{_USAGE}({error})\n")
        return 2
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.argv = arguments  # As for `python app.py`.
    handler = Handler()
    logging.getLogger().addHandler(handler)
    try:
        load(arguments[0], APPLICATION)
    except BaseException as error:
        refuse(channel, error, arguments[0])
        return 1
    serve(channel, handler, APPLICATION)
    return 0


def refuse(channel: Channel, error: BaseException, app: str) -> None:
    """Tells the server why there is nothing to serve."""
    _send(channel, [HELLO, {"error": _load_fault(error, app), "files": _files()}])


def serve(channel: Channel, handler: Handler, application: Application) -> None:
    """Tells the server what there is, and serves it until the server wants no more."""
    # What is loaded stays, so that no collection need look at it again.
    gc.collect()
    gc.freeze()
    _send(channel, [HELLO, hello(application)])
    waiting = _welcome(channel)
    if waiting is None:
        return
    settings, rest = waiting
    engine = _engine(channel, application, settings)
    handler.attach(engine, str(settings.get("log", "info")))
    engine.run(rest)


def load(app: str, application: Application) -> types.ModuleType:
    """Runs the application's file or module, which registers its functions."""
    if app.endswith(".py") or os.sep in app:
        module = _load_file(os.path.abspath(app))
    else:
        sys.path.insert(0, os.getcwd())
        module = importlib.import_module(app)
    if not application.entries:
        application.add_module(module)
    if not application.entries:
        raise LookupError(f"{app} has no function to serve")
    return module


def hello(application: Application) -> dict[str, Any]:
    """What HELLO says of an application."""
    entries = application.entries.values()
    return {
        "protocol": VERSION,
        "runtime": f"{platform.python_implementation()} {platform.python_version()}",
        "functions": [entry.on_wire() for entry in entries],
        "pools": {entry.pool.name: entry.pool.on_wire() for entry in entries},
        "progress": True,
        "files": _files(),
    }


def take_socket() -> socket.socket:
    """Moves the socket away from standard input, where functions find nothing instead."""
    taken = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return taken


def _load_file(path: str) -> types.ModuleType:
    name = os.path.splitext(os.path.basename(path))[0]
    if name in sys.modules:
        name += "_app"  # An application called json.py must not take the place of json.
    if sys.path and sys.path[0] in ("", os.getcwd()):
        del sys.path[0]
    sys.path.insert(0, os.path.dirname(path))
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _load_fault(error: BaseException, app: str) -> dict[str, Any]:
    """Why the application could not be loaded, and where that is in its files."""
    fault = faults.to_wire(error)
    file, line = app, 0
    if isinstance(error, SyntaxError) and error.filename:
        file, line = error.filename, error.lineno or 0
    else:
        places = [
            (place.filename, place.lineno or 0)
            for place in traceback.extract_tb(error.__traceback__)
            if _is_own_file(place.filename)
        ]
        file, line = places[-1] if places else (file, line)
    fault["attributes"] = fault["attributes"] | {"file": os.path.abspath(file), "line": line}
    return fault


def _files() -> list[str]:
    """The source files that were loaded, without those of Python and of installed packages."""
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    own = {os.path.abspath(file) for file in files if file and _is_own_file(file)}
    return sorted(file for file in own if os.path.isfile(file))


def _is_own_file(file: str) -> bool:
    path = os.path.abspath(file)
    return not file.startswith("<") and not path.startswith(_FOREIGN_FOLDERS)


_FOREIGN_FOLDERS = tuple(
    os.path.abspath(folder) + os.sep
    for folder in {
        *(sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")),
        os.path.dirname(os.path.abspath(__file__)),
        os.path.dirname(os.__file__),
    }
)


def _send(channel: Channel, array: list[Any]) -> None:
    channel.send(frames.frame(values.pack(array)))


def _welcome(channel: Channel) -> tuple[dict[str, Any], list[list[Any]]] | None:
    """What WELCOME says, and the frames behind it; nothing when the server wants no worker."""
    while True:
        arrived = channel.receive()
        for at, frame in enumerate(arrived):
            if frame[0] == WELCOME:
                if type(frame[1]) is not dict:
                    stop(ProtocolError("the settings of WELCOME are no map"))
                return frame[1], arrived[at + 1 :]
            if frame[0] == DRAIN:
                return None
            if frame[0] == PING:
                _send(channel, [PONG, frame[1]])
            elif frame[0] <= frames.LEAVE:
                stop(ProtocolError(f"a frame of kind {frame[0]} before WELCOME"))


def _engine(channel: Channel, application: Application, settings: dict[str, Any]) -> Engine:
    pools = {entry.pool.name: entry.pool for entry in application.entries.values()}
    pool = pools.get(settings.get("pool", ""))
    if pool is None:
        stop(ProtocolError(f"there is no pool {settings.get('pool')!r}"))
    engine: Engine
    if pool.engine == "plain":
        engine = PlainEngine(channel, application, pool, settings.get("progress"))
    elif pool.engine == "threads":
        engine = ThreadsEngine(channel, application, pool)
    else:
        engine = AsyncEngine(channel, application, pool)
    most = settings.get("message_bytes")
    if type(most) is int and most > 0:
        engine.message_bytes = most
        channel.limit(most)
    return engine


if __name__ == "__main__":
    status = main(sys.argv[1:])
    if status:
        leave(status)
    sys.exit(0)
