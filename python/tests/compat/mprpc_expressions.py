"""Evaluates expressions with the client of pymprpc 0.0.3: URL EXPRESSION…; prints JSON.

It is run by a Python that has that client.
"""

import json
import os
import sys

OUT, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: SIM115  It prints every call.

from pymprpc.client import RPC
from pymprpc.errors import MprpcException

url, *expressions = sys.argv[1:]
results = []
with RPC(addr=url, debug=True) as rpc:
    for expression in expressions:
        try:
            results.append(eval(expression, {"rpc": rpc}))
        except MprpcException as error:
            results.append(f"{type(error).__name__}: {error}")
print(json.dumps(results), file=OUT, flush=True)
os._exit(0)
