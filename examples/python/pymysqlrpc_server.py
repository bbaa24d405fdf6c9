"""A server program of pymysqlrpc with one changed import.

    python examples/python/pymysqlrpc_server.py
    mysql --port 3308 -h 127.0.0.1 -utestuser -ptestpass -e 'call myadd(3,4);'
    mysql --port 3308 -h 127.0.0.1 -uroot -prootpass -e 'call pymysqlrpcinfo;'
    curl http://127.0.0.1:8308/pymysqlrpc/info/root/viewpass
"""

from polyport.compat.pymysqlrpc import RPCServer


def add(a, b):
    return ('sum',), [(a+b,), ]


aclmap = {"testuser": ["testpass",
                    {"myadd": add}
                    ],
        "root": ("rootpass", "viewpass")
        }

server = RPCServer(('127.0.0.1', 3308), aclmap)
server.serve_forever()
