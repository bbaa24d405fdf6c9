"""What a server program of pymprpc imports: ``from polyport.compat.pymprpc import …``.

See :mod:`polyport.compat` for how the program runs then.
"""

from polyport.compat.pymprpc.server import BaseServer, SimpleMprpcServer

__all__ = ["BaseServer", "SimpleMprpcServer"]
