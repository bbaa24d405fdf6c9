"""Programs of pymysqlrpc with one changed import, called with PyMySQL."""

from __future__ import annotations

import importlib.util
import signal
import threading
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import pymysql
import pytest
from programs import PATIENCE_S, Program, alive, wait_until

Start = Callable[..., Program]

# The example of pymysqlrpc's documentation, to the letter but for the import.
SEED = """\
from polyport.compat.pymysqlrpc import RPCServer

def add(a, b):
    return('sum',), [(a+b,), ]

aclmap = {"testuser": ["testpass",
                    {"myadd": add}
                    ],
        "root":("rootpass", "viewpass")
        }

server = RPCServer(('0.0.0.0', 3308), aclmap)
server.serve_forever()
"""

BOTH = "mysql=127.0.0.1:0,http=127.0.0.1:0"


def connect(program: Program, user: str = "testuser", password: str = "testpass") -> Any:
    secret = password.encode()  # Of a text PyMySQL takes Latin letters only.
    return pymysql.connect(host="127.0.0.1", port=program.port("mysql"), user=user, password=secret)


def call(program: Program, sql: str, **user: str) -> tuple[Any, Any]:
    """The names and the rows that a call gives; no names when it gives no table."""
    with connect(program, **user) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        names = [column[0] for column in cursor.description or ()]
        return names, tuple(cursor.fetchall())


def error(program: Program, sql: str) -> tuple[int, str]:
    with pytest.raises(pymysql.MySQLError) as raised:
        call(program, sql)
    return raised.value.args[0], raised.value.args[1]


def serving(functions: str, options: str = "") -> str:
    """A program with these functions for testuser."""
    return f"""\
from polyport.compat.pymysqlrpc import LogicError, RPCServer

{functions}

exported = {{name: f for name, f in globals().items() if callable(f) and name.islower()}}
RPCServer(('127.0.0.1', 3308), {{"testuser": ["testpass", exported]}}{options}).serve_forever()
"""


def test_the_first_example_answers_as_its_documentation_shows(start: Start) -> None:
    program = start(SEED, listen=BOTH)
    assert call(program, "call myadd(3,4);") == (["sum"], ((7,),))
    names, rows = call(program, "call pymysqlrpcinfo;", user="root", password="rootpass")
    assert names == ["Variable_name", "Value"]
    told = dict(rows)
    assert told["online client"].split() == ["online:", "1"]
    assert told["client 1"].startswith("root@")
    url = f"http://127.0.0.1:{program.port('http')}/pymysqlrpc/info/root/viewpass"
    with urllib.request.urlopen(url) as page:
        assert b"query stat" in page.read()


def test_who_listens_for_all_is_warned_once(start: Start) -> None:
    program = start(SEED, listen=BOTH)
    program.port("mysql")
    assert program.output.count("mysql on 0.0.0.0:3308 is open to other machines") == 1


def test_users_may_know_different_functions_by_one_name(start: Start) -> None:
    program = start("""\
        from polyport.compat.pymysqlrpc import RPCServer

        class Store:
            def __init__(self, start):
                self.count = start
            def next(self):
                self.count += 1
                return (self.count,)

        aclmap = {
            "ann": ("a", {"next": Store(10).next, "odd name": Store(90).next}),
            "bob": ("b", {"next": Store(20).next}),
        }
        RPCServer("127.0.0.1:3308", aclmap).serve_forever()
        """)
    ann, bob = {"user": "ann", "password": "a"}, {"user": "bob", "password": "b"}
    assert call(program, "call next()", **ann)[1] == ((11,),)
    assert call(program, "call next()", **bob)[1] == ((21,),)
    assert call(program, "call next()", **ann)[1] == ((12,),)
    assert call(program, "call `odd name`()", **ann)[1] == ((91,),)


def test_the_variables_of_the_program_are_common_to_all_calls(start: Start) -> None:
    program = start(
        serving("""
calls = []
def note(what):
    calls.append(what)
def noted():
    return ("what",), [(each,) for each in calls]
""")
    )
    for number in range(20):
        call(program, f"call note({number})")
    assert [row[0] for row in call(program, "call noted()")[1]] == list(range(20))


def test_results_are_those_of_pymysqlrpc(start: Start) -> None:
    program = start(
        serving("""
def rows(): return [(1, "a"), (2, "b")]
def one(): return (1, "two")
def empty(): return ("a", "b"), []
def pair(): return (1, 2)
def nothing(): return None
def zero(): return 0
def scalar(): return 5
def narrow(): return ("a", "b"), [(1,)]
""")
    )
    assert call(program, "call rows()") == (["0", "1"], ((1, "a"), (2, "b")))
    assert call(program, "call one()") == (["0", "1"], ((1, "two"),))
    assert call(program, "call empty()") == (["a", "b"], ())
    assert call(program, "call pair()") == (["0", "1"], ((1, 2),))
    assert call(program, "call nothing()") == ([], ())
    assert call(program, "call zero()") == ([], ())
    assert error(program, "call scalar()")[0] == 500
    assert error(program, "call narrow()")[0] == 500


def test_errors_are_those_of_pymysqlrpc(start: Start) -> None:
    program = start(
        serving("""
def logic(): raise LogicError(1234, "no such thing")
def boom(): raise ValueError("boom!")
""")
    )
    assert error(program, "call logic()") == (1234, "no such thing")
    number, text = error(program, "call boom()")
    assert number == 500 and "boom!" in text
    number, text = error(program, "call missing()")
    assert number == 500 and text.startswith("func call 1: ")


def test_a_call_over_its_time_is_stopped_and_the_next_is_served(start: Start) -> None:
    program = start(
        serving(
            """
import time
def slow(): time.sleep(60)
def quick(): return (1,)
""",
            ", querytimeout=2",
        )
    )
    began = time.monotonic()
    number, text = error(program, "call slow()")
    assert number == 500 and text.startswith("func call 3: timeout")
    assert time.monotonic() - began < 30
    assert call(program, "call quick()")[1] == ((1,),)


def test_any_database_may_be_chosen(start: Start) -> None:
    program = start(serving("def one(): return (1,)"))
    with connect(program) as connection:
        connection.select_db("whatever")
        connection.cursor().execute("call one()")
    url = {"host": "127.0.0.1", "port": program.port("mysql"), "user": "testuser"}
    pymysql.connect(**url, password="testpass", database="other").close()


def test_workers_are_more_processes_for_who_asks(start: Start) -> None:
    program = start(
        serving(
            "import os, time\ndef pid(): time.sleep(0.05); return (os.getpid(),)", ", workers=2"
        )
    )
    found: set[int] = set()

    def ask() -> None:
        while len(found) < 2:  # The second may not be ready when the first is.
            found.add(call(program, "call pid()")[1][0][0])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    program.port("mysql")
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert len(found) == 2


def test_the_program_is_main_and_has_its_arguments_in_every_process(start: Start) -> None:
    source = """\
        import sys
        from polyport.compat.pymysqlrpc import RPCServer

        def told():
            return (__name__, *sys.argv[1:])

        def main():
            word = sys.argv[1]
            RPCServer(("127.0.0.1", 3308), {"testuser": ["testpass", {word: told}]}).serve_forever()

        if __name__ == "__main__":
            main()
        """
    for words in (["runmain.py", "told", "x y"], ["-m", "runmain", "told", "x y"]):
        program = start(source, *words)
        assert call(program, "call told()")[1] == (("__main__", "told", "x y"),)
        assert program.end(signal.SIGTERM) == -signal.SIGTERM


def test_what_follows_start_runs_in_the_first_process_only(start: Start) -> None:
    program = start("""\
        import time
        from polyport.compat.pymysqlrpc import RPCServer

        def one():
            return (1,)

        first = RPCServer(("127.0.0.1", 0), {"testuser": ["testpass", {"one": one}]})
        second = RPCServer(("127.0.0.1", 0), {"testuser": ["testpass", {"two": one}]})
        first.start()
        second.start()
        print("started", first.server_port != 0, first.started, second.started, flush=True)
        time.sleep(0.1)
        first.stop()
        second.close()
        print("stopped", first.started, second.closed, flush=True)
        """)
    assert program.end() == 0
    assert "started True True True\n" in program.output
    assert "stopped False True\n" in program.output


def test_ctrl_c_ends_all_processes(start: Start) -> None:
    program = start(SEED, listen=BOTH)
    call(program, "call myadd(3,4)")
    family = program.family()
    assert len(family) >= 3
    program.end(signal.SIGINT)
    assert "KeyboardInterrupt" in program.output
    assert wait_until(lambda: not alive(family))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_process_outlives_the_first(start: Start, number: signal.Signals) -> None:
    program = start(SEED, listen=BOTH)
    call(program, "call myadd(3,4)")
    family = program.family()
    assert program.end(number) == -number
    assert wait_until(lambda: not alive(family))


def test_a_handler_of_the_programs_own_may_stop_the_server(start: Start) -> None:
    program = start("""\
        import signal
        from polyport.compat.pymysqlrpc import RPCServer

        def one():
            return (1,)

        server = RPCServer(("127.0.0.1", 3308), {"testuser": ["testpass", {"one": one}]})
        signal.signal(signal.SIGTERM, lambda *_: server.stop())
        server.serve_forever()
        print("tidied up", flush=True)
        """)
    program.port("mysql")
    assert program.end(signal.SIGTERM) == 0
    assert "tidied up" in program.output


def test_a_broken_program_shows_its_traceback_once(start: Start) -> None:
    program = start(SEED.replace("def add", "1 / 0\ndef add"))
    assert program.end() == 1
    assert program.output.count("ZeroDivisionError") == 1


def test_a_program_that_breaks_in_a_worker_shows_its_traceback_once(start: Start) -> None:
    broken = "import os\nif 'POLYPORT_WORKER' in os.environ: 1 / 0\n"
    program = start(broken + SEED, listen=BOTH)
    assert program.end() == 1
    assert program.output.count("Traceback") == 1, program.output
    assert 'runmain.py", line 2' in program.output
    assert "runpy" not in program.output


def test_a_program_that_ends_too_soon_in_a_worker_says_so(start: Start) -> None:
    source = SEED.replace("server =", "import os\nif 'POLYPORT_WORKER' not in os.environ: server =")
    program = start(source.replace("\nserver.serve", "\nif 'server' in vars(): server.serve"))
    assert program.end() == 1
    assert program.output.count("came to its end without starting to serve") <= 2
    assert "came to its end without starting to serve" in program.output


def test_without_functions_there_is_still_the_state_of_the_server(start: Start) -> None:
    program = start("""\
        from polyport.compat.pymysqlrpc import RPCServer

        RPCServer(("127.0.0.1", 3308), {"root": ("rootpass", "viewpass")}, webport=0).serve_forever()
        """)
    rows = call(program, "call pymysqlrpcinfo", user="root", password="rootpass")[1]
    assert dict(rows)["online client"].split() == ["online:", "1"]


def test_a_port_that_is_taken_is_said_once(start: Start) -> None:
    program = start(SEED, listen=BOTH)
    port = program.port("mysql")
    other = start(SEED, listen=f"mysql=127.0.0.1:{port},http=127.0.0.1:0")
    assert other.end() == 1
    assert other.output.count("cannot listen for mysql") == 1
    assert "Traceback" not in other.output


def test_the_log_of_the_program_has_the_lines_of_the_server_and_of_functions(start: Start) -> None:
    program = start("""\
        import logging
        from polyport.compat.pymysqlrpc import RPCServer

        log = logging.getLogger("mine")
        log.setLevel(logging.DEBUG)
        log.addHandler(logging.FileHandler("mine.log"))

        def note():
            log.info("a function's line")

        users = {"testuser": ["testpass", {"note": note}], "root": ("r", "v")}
        RPCServer(("127.0.0.1", 3308), users, log=log, webport=0).serve_forever()
        """)
    call(program, "call note()")
    program.end(signal.SIGTERM)
    text = (program.folder / "mine.log").read_text()
    assert text.count("a function's line") == 1
    assert "stopping" in text


def test_a_client_that_leaves_takes_no_variables_with_it(start: Start) -> None:
    program = start(
        serving(
            """
import time
calls = []
def slow(seconds):
    calls.append(seconds)
    time.sleep(seconds)
    calls.append("over")
def noted(): return ("what",), [(each,) for each in calls]
"""
        )
    )
    leaves = connect(program)
    leaves._execute_command(3, "call slow(1)")
    assert wait_until(lambda: call(program, "call noted()")[1] != ())
    leaves._force_close()
    assert call(program, "call noted()")[1] == (("1",), ("over",))


@pytest.mark.skipif(importlib.util.find_spec("gevent") is None, reason="gevent is not installed")
def test_gevent_gives_each_call_a_greenlet_of_one_process(start: Start) -> None:
    program = start(
        """\
        from gevent import monkey
        monkey.patch_all()
        import threading, time
        from polyport.compat.pymysqlrpc import RPCServer

        arrived = []

        def meet(count):
            arrived.append(None)
            while len(arrived) < count:
                time.sleep(0.01)
            return (len(arrived), type(threading.current_thread()).__module__)

        RPCServer(("127.0.0.1", 3308), {"testuser": ["testpass", {"meet": meet}]}).serve_forever()
        """
    )
    met: list[Any] = []
    threads = [
        threading.Thread(target=lambda: met.append(call(program, "call meet(10)")))
        for _ in range(10)
    ]
    program.port("mysql")
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [rows[0][0] for _, rows in met] == [10] * 10
    family = program.family()
    program.end(signal.SIGINT)
    assert wait_until(lambda: not alive(family))


@pytest.mark.skipif(importlib.util.find_spec("gevent") is None, reason="gevent is not installed")
def test_a_greenlet_over_its_time_ends_alone(start: Start) -> None:
    program = start("""\
        from gevent import monkey
        monkey.patch_all()
        import os, time
        from polyport.compat.pymysqlrpc import RPCServer

        seen = []

        def note():
            seen.append(os.getpid())
            return ("n", "pid"), [(len(seen), os.getpid())]

        def slow():
            time.sleep(60)

        def beside():
            time.sleep(1.5)
            return note()

        aclmap = {"testuser": ["testpass", {"note": note, "slow": slow, "beside": beside}]}
        RPCServer(("127.0.0.1", 3308), aclmap, querytimeout=2).serve_forever()
        """)
    ((_, pid),) = call(program, "call note()")[1]
    beside: list[Any] = []
    thread = threading.Thread(target=lambda: beside.extend(call(program, "call beside()")[1]))
    thread.start()
    number, text = error(program, "call slow()")
    assert number == 500 and text.startswith("func call 3: timeout")
    thread.join()
    assert beside == [(2, pid)]
    assert call(program, "call note()")[1] == ((3, pid),)


def test_a_password_may_hold_anything(start: Start) -> None:
    program = start("""\
        from polyport.compat.pymysqlrpc import RPCServer

        def one():
            return (1,)

        password = 'q"u\\\\o\\x7ft é 中'
        RPCServer(("127.0.0.1", 3308), {"o'dd": (password, {"one": one})}).serve_forever()
        """)
    user = {"user": "o'dd", "password": 'q"u\\o\x7ft é 中'}
    assert call(program, "call one()", **user)[1] == ((1,),)


def test_a_server_may_serve_on_a_thread(start: Start) -> None:
    program = start("""\
        import threading
        from polyport.compat.pymysqlrpc import RPCServer

        def one():
            return (1,)

        server = RPCServer(("127.0.0.1", 3308), {"testuser": ["testpass", {"one": one}]})
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        thread.join()
        """)
    assert call(program, "call one()")[1] == ((1,),)
    family = program.family()
    program.end(signal.SIGTERM)
    assert wait_until(lambda: not alive(family))
