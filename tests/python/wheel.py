"""What a wheel consists of, and that it works where nothing else is set up: wheel.py WHEEL

Run by the Python of a virtual environment that the wheel is installed in and that is not active.
"""

import email
import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from base64 import b64encode
from pathlib import Path

WHEEL = Path(sys.argv[1])
SCRIPTS = Path(sys.executable).parent
APP = """
import sys
import polyport

@polyport.function
def where() -> list[str]:
    return [sys.executable, sys.prefix, polyport.__file__]
"""
passed = failed = 0


def check(name):
    def decorate(body):
        global passed, failed
        try:
            body()
        except Exception as error:  # noqa: BLE001
            failed += 1
            print("FAIL", name, f"{type(error).__name__}: {error}".replace("\n", " ")[:300])
        else:
            passed += 1
            print("ok", name)

    return decorate


def same(got, want):
    assert got == want, f"got {got!r}, want {want!r}"


with zipfile.ZipFile(WHEEL) as archive:
    NAMES = archive.namelist()
    INFO = next(name.split("/")[0] for name in NAMES if name.endswith(".dist-info/METADATA"))
    METADATA = email.message_from_bytes(archive.read(f"{INFO}/METADATA"))
    TAGS = email.message_from_bytes(archive.read(f"{INFO}/WHEEL")).get_all("Tag")
    TEXT = b"".join(archive.read(name) for name in NAMES if "/scripts/" not in name)


@check("wheel.fits_every_python_of_one_platform")
def _():
    assert all(tag.startswith("py3-none-") for tag in TAGS), TAGS
    assert not any(tag.endswith("-any") for tag in TAGS), TAGS
    # A tag that says only linux would be taken by no package index.
    assert not any(tag.startswith("py3-none-linux") for tag in TAGS), TAGS


@check("wheel.has_the_program_the_package_and_nothing_else")
def _():
    folders = {name.split("/")[0] for name in NAMES}
    data = INFO.replace(".dist-info", ".data")
    same(folders, {"polyport", data, INFO})
    same([name for name in NAMES if name.startswith(data)], [f"{data}/scripts/polyport"])
    assert "polyport/py.typed" in NAMES and "polyport/worker.py" in NAMES
    assert not any(
        "test" in name or "conformance" in name or "__pycache__" in name for name in NAMES
    )
    assert {f"{INFO}/licenses/LICENSE-MIT", f"{INFO}/licenses/LICENSE-APACHE"} <= set(NAMES)


@check("wheel.tells_nothing_of_the_machine_that_built_it")
def _():
    assert os.fsencode(Path(__file__).resolve().parents[2]) not in TEXT


@check("wheel.metadata")
def _():
    same(METADATA["Name"], "polyport")
    same(METADATA["License-Expression"], "MIT OR Apache-2.0")
    same(METADATA["Requires-Python"], ">=3.10")
    assert [need.split(">")[0] for need in METADATA.get_all("Requires-Dist")] == ["msgpack"]


def shown(*words):
    outside = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    words = [str(word) for word in words]
    return subprocess.run(words, env=outside, capture_output=True, text=True, check=True).stdout


@check("installed.the_program_is_on_the_path")
def _():
    same(shown(SCRIPTS / "polyport", "--version"), f"polyport {METADATA['Version']}\n")


@check("installed.python_m_polyport_is_the_program")
def _():
    same(shown(sys.executable, "-m", "polyport", "--version"), f"polyport {METADATA['Version']}\n")


def places(folder, words, **environment):
    """What the function says of where it runs, when a server is started so."""
    env = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    words = [*words, "serve", "app.py", "--only", "http", "--listen", "http=127.0.0.1:0"]
    env.update(environment)
    server = subprocess.Popen(
        [str(word) for word in words],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        address = server.stdout.readline().split()[-1]
        same(server.stdout.readline(), "ready\n")
        secret = "ann:" + "a long password"
        request = urllib.request.Request(f"http://{address}/v1/call/where", data=b"[]")
        request.add_header("Authorization", "Basic " + b64encode(secret.encode()).decode())
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)["result"]
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=20)


with tempfile.TemporaryDirectory() as made:
    FOLDER = Path(made)
    (FOLDER / "app.py").write_text(APP)
    subprocess.run(
        [SCRIPTS / "polyport", "user", "add", "ann", "--right", "call *"],
        cwd=FOLDER,
        input="a long password\n",
        text=True,
        check=True,
        stdout=subprocess.DEVNULL,
    )

    # The interpreter of the environment is a link to the one that it was made from, and that one
    # knows nothing of the package.
    def runs_in_its_environment(words, **environment):
        executable, prefix, package = places(FOLDER, words, **environment)
        same([os.path.dirname(executable), prefix], [os.path.abspath(SCRIPTS), sys.prefix])
        assert package.startswith(sys.prefix), package

    @check("serve.runs_the_python_of_the_environment_it_is_installed_in")
    def _():
        runs_in_its_environment([SCRIPTS / "polyport"])

    @check("serve.runs_it_when_started_through_a_link")
    def _():
        link = FOLDER / "linked"
        link.symlink_to(SCRIPTS / "polyport")
        runs_in_its_environment([link])

    @check("serve.runs_the_python_that_started_it")
    def _():
        runs_in_its_environment([sys.executable, "-m", "polyport"])

    @check("serve.runs_the_python_of_the_active_environment")
    def _():
        found = os.pathsep.join([str(SCRIPTS), os.environ["PATH"]])
        runs_in_its_environment(["polyport"], VIRTUAL_ENV=sys.prefix, PATH=found)

    @check("serve.runs_the_python_that_it_is_told")
    def _():
        runs_in_its_environment([SCRIPTS / "polyport"], POLYPORT_PYTHON=sys.executable)


print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
