"""What a server program of pymysqlrpc imports: ``from polyport.compat.pymysqlrpc import RPCServer``.

See :mod:`polyport.compat` for how the program runs then.
"""

from polyport.compat.pymysqlrpc.logicerror import LogicError
from polyport.compat.pymysqlrpc.rpcserver import RPCServer
from polyport.compat.pymysqlrpc.utils import genACLmap

__all__ = ["LogicError", "RPCServer", "genACLmap"]
