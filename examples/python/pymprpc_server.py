"""A server program of pymprpc with one changed import.

    python examples/python/pymprpc_server.py

Clients of pymprpc then connect to tcp://admin:admin@127.0.0.1:5000, as before.
"""

import asyncio

from polyport.compat.pymprpc.server import SimpleMprpcServer


class MyMPRPCServer(SimpleMprpcServer):
    pass


with MyMPRPCServer(("127.0.0.1", 5000), debug=True) as server:
    server.register_introspection_functions()

    @server.register_function()
    def testfunc(a, b):
        """有help
        """
        return a + b

    @server.register_function()
    async def testcoro(a, b):
        await asyncio.sleep(0.1)
        return a + b

    @server.register_function()
    async def testcorogen(a, b):
        for i in range(10):
            await asyncio.sleep(0.1)
            yield i + a + b

    class TestClass:

        def testclassmethod(self, a, b):
            return a + b

        async def testclasscoro(self, a, b):
            await asyncio.sleep(0.1)
            return a + b

        async def testclasscorogen(self, a, b):
            for i in range(10):
                await asyncio.sleep(0.1)
                yield i + a + b

    t = TestClass()
    server.register_instance(t)
    server.run_forever()
