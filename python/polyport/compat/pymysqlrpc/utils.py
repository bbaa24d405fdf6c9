"""A map of users made from modules."""

from __future__ import annotations

import types
from typing import Any


def genACLmap(*modules: Any) -> dict[str, tuple[str, Any]]:
    """The public functions of modules for the user ``pymysqlrpc``, whose password is ``rpcpass``.

    The user ``root`` is in the map too, with the passwords ``rootpass`` and ``webviewpass``.
    """
    functions = {
        name: getattr(module, name)
        for module in modules
        if isinstance(module, types.ModuleType)
        for name in dir(module)
        if not name.startswith("_") and isinstance(getattr(module, name), types.FunctionType)
    }
    return {"pymysqlrpc": ("rpcpass", functions), "root": ("rootpass", "webviewpass")}
