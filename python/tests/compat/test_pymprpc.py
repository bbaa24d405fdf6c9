"""Programs of pymprpc with one changed import, called with the client of pymprpc."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from programs import Program, alive, wait_until

from polyport.compat.pymprpc import SimpleMprpcServer

Start = Callable[..., Program]

LISTEN = "msgpack=127.0.0.1:0"

# The example of pymprpc's documentation, to the letter, below the import of its class.
SEED = '''\
import asyncio
from polyport.compat.pymprpc import SimpleMprpcServer

class MyMPRPCServer(SimpleMprpcServer):
    """What it is for"""

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
'''

NAMES = [
    "system.lenConnections",
    "system.lenUndoneTasks",
    "system.listMethods",
    "system.methodHelp",
    "system.methodSignature",
    "testclasscoro",
    "testclasscorogen",
    "testclassmethod",
    "testcoro",
    "testcorogen",
    "testfunc",
]


@pytest.fixture
def ask(client_python: str) -> Callable[..., list[Any]]:
    """Evaluates expressions with ``rpc``, a client that is connected; gives what they give."""

    def ask(program: Program, *expressions: str, user: str = "admin:admin@") -> list[Any]:
        url = f"tcp://{user}127.0.0.1:{program.port('msgpack')}"
        script = str(Path(__file__).with_name("mprpc_expressions.py"))
        command = [client_python, "-W", "ignore", script, url, *expressions]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr + program.output
        results: list[Any] = json.loads(done.stdout)
        return results

    return ask


def test_the_first_example_answers_as_its_documentation_shows(
    start: Start, ask: Callable[..., list[Any]]
) -> None:
    program = start(SEED, listen=LISTEN)
    assert ask(
        program,
        "rpc.system.listMethods()",
        'rpc.system.methodSignature("testclassmethod")',
        'rpc.system.methodHelp("testfunc")',
        "rpc.system.lenConnections()",
        "rpc.system.lenUndoneTasks()",
        "rpc.testclassmethod(1, 2)",
        "rpc.testclasscoro(2, 3)",
        "rpc.testcoro(5, 6)",
        "rpc.testfunc(5, 4)",
        "list(rpc.testcorogen(1, 2))",
        "list(rpc.testclasscorogen(1, 2))",
        "rpc.remote_info['DESC']",
    ) == [
        NAMES,
        "(a, b)",
        "有help",
        1,
        1,
        3,
        5,
        11,
        9,
        list(range(3, 13)),
        list(range(3, 13)),
        "What it is for",
    ]


def test_without_introspection_nobody_is_told_what_there_is(
    start: Start, ask: Callable[..., list[Any]]
) -> None:
    program = start(SEED.replace("server.register_introspection_functions()", ""), listen=LISTEN)
    assert ask(program, "rpc.testfunc(5, 4)", "rpc.system.listMethods()") == [
        9,
        'NotFindError: method "system.listMethods" is not supported',
    ]


def test_functions_are_registered_in_each_way_that_there_is(
    start: Start, ask: Callable[..., list[Any]]
) -> None:
    program = start(
        """\
        from polyport.compat.pymprpc.server import BaseServer

        class Inner:
            def deep(self):
                return "deep"

        class Outer:
            def __init__(self):
                self.inner = Inner()
                self.outer = self

            def both(self):
                return "method"

            def _private(self):
                return "private"

        def named():
            return "named"

        auth = [("ann", "a"), ("bob", "b")]
        with BaseServer(("127.0.0.1", 5000), auth=auth, timeout=7) as server:
            @server.register_function
            def bare():
                return "bare"

            @server.register_function("by.place")
            def first():
                return "by place"

            @server.register_function(name="key-word")
            def second():
                return "by keyword"

            @server.register_function()
            def both():
                return "function"

            server.register_function(named)
            server.register_instance(Outer(), allow_dotted_names=True)
            server.run_forever()
        """,
        listen=LISTEN,
    )
    asked = [
        "rpc.bare()",
        "rpc.query('by.place')",
        "rpc.query('key-word')",
        "rpc.both()",
        "rpc.named()",
        "rpc.query('inner.deep')",
        "rpc._private()",
        "rpc.remote_info['TIMEOUT']",
    ]
    answers = ["bare", "by place", "by keyword", "function", "named", "deep"]
    answers += ['NotFindError: method "_private" is not supported', 7]
    assert ask(program, *asked, user="ann:a@") == answers
    assert ask(program, *asked, user="bob:b@") == answers


def test_without_users_everybody_may_call(start: Start, ask: Callable[..., list[Any]]) -> None:
    program = start(SEED.replace("debug=True", "debug=True, auth=[]"), listen=LISTEN)
    assert ask(program, "rpc.testfunc(5, 4)", user="") == [9]


def test_coroutines_run_on_the_loop_of_the_program(
    start: Start, ask: Callable[..., list[Any]]
) -> None:
    program = start(
        """\
        import asyncio
        from polyport.compat.pymprpc import SimpleMprpcServer

        loop = asyncio.new_event_loop()

        async def make():
            return asyncio.get_running_loop().create_future()

        future = loop.run_until_complete(make())

        with SimpleMprpcServer(("127.0.0.1", 5000), loop=loop) as server:
            @server.register_function()
            async def wait():
                loop.call_later(0.01, lambda: future.done() or future.set_result("done"))
                return await future

            server.run_forever()
        """,
        listen=LISTEN,
    )
    assert ask(program, "rpc.wait()") == ["done"]


def test_threads_have_the_variables_of_coroutines(
    start: Start, ask: Callable[..., list[Any]]
) -> None:
    program = start(
        """\
        from concurrent.futures import ThreadPoolExecutor
        from polyport.compat.pymprpc import SimpleMprpcServer

        kept = []
        executor = ThreadPoolExecutor(2)

        with SimpleMprpcServer(("127.0.0.1", 5000), func_executor=executor) as server:
            @server.register_function()
            def keep(what):
                kept.append(what)

            @server.register_function()
            async def all_kept():
                return kept

            server.run_forever()
        """,
        listen=LISTEN,
    )
    assert ask(program, "rpc.keep(1)", "rpc.keep(2)", "rpc.all_kept()") == [None, None, [1, 2]]


def test_a_program_may_serve_from_within_a_coroutine(
    start: Start, ask: Callable[..., list[Any]]
) -> None:
    source = SEED.replace("\nwith My", "\nasync def main():\n  async with My")
    head, body = source.split("  async with", 1)
    source = head + "  async with" + body.replace("\n", "\n  ") + "\nasyncio.run(main())\n"
    program = start(source, listen=LISTEN)
    assert ask(program, "rpc.testfunc(5, 4)", "rpc.testcoro(5, 6)") == [9, 11]
    assert program.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_and_the_program_goes_on(
    start: Start, number: signal.Signals
) -> None:
    program = start(SEED + "\nprint('tidied up', flush=True)\n", listen=LISTEN)
    program.port("msgpack")
    family = program.family()
    assert program.end(number) == 0
    assert "tidied up" in program.output
    assert "Traceback" not in program.output
    assert wait_until(lambda: not alive(family))


def test_what_cannot_be_done_is_refused() -> None:
    address = ("127.0.0.1", 5000)
    with pytest.raises(RuntimeError, match="compreser unsupport"):
        SimpleMprpcServer(address, compreser="gzip")
    with pytest.raises(TypeError, match="two files"):
        SimpleMprpcServer(address, ssl=object())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="two passwords"):
        SimpleMprpcServer(address, auth=[("a", "1"), ("a", "2")])
    server = SimpleMprpcServer(address)
    assert server.register_instance(object()) is True
    with pytest.raises(RuntimeError, match="one instance"):
        server.register_instance(object())


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_two_files_make_it_speak_tls(start: Start, tmp_path: Path) -> None:
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    files = ["-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.crt"]
    subprocess.run([*words.split(), *files], cwd=tmp_path, check=True, capture_output=True)
    source = SEED.replace("debug=True", 'debug=True, ssl=("server.crt", "server.key")')
    program = start(source, listen=LISTEN)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    asked = {"MPRPC": "0.1", "AUTH": {"USERNAME": "admin", "PASSWORD": "admin"}}
    plain = socket.create_connection(("127.0.0.1", program.port("msgpack")), 20)
    with plain, context.wrap_socket(plain) as stream:
        stream.sendall(json.dumps(asked).encode() + b"##PRO-END##")
        assert json.loads(stream.recv(4096).split(b"##PRO-END##")[0])["CODE"] == 100
