"""Runs the snippets of a page as a reader would, from top to bottom: snippets.py PAGE

In a folder of its own, with the programs of this Python's environment first on the path:

- a block `python` or `toml` whose first line is a comment with a file's name, as `# app.py`, is
  written to that file, or to its end when an earlier block began it, and what is served is
  loaded anew;
- any other block `python` is a program, and must end well;
- in a block `console` each line after `$ ` is a command for the shell, and the lines below it are
  what it must write. `…` stands for anything in a line, and alone in one for any lines.
  `polyport serve` goes on in the background, on free ports in place of the usual ones.

Blocks in other languages are left alone.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

USUAL = {"mysql": "3308", "msgpack": "5000", "http": "8308"}
BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# ([\w/]+\.(?:py|toml))$")
DONE = "--done--"
SECONDS = 30


class Reader:
    """Somebody with a shell who does what the page says."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.ports = {}
        self.server = None
        self.env = {
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "NO_COLOR": "1",
        }
        self.env.pop("VIRTUAL_ENV", None)
        self.shell = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env=self.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def here(self, text):
        """The text with the ports that are used here."""
        for usual, port in self.ports.items():
            text = re.sub(rf"\b{usual}\b", port, text)
        return text

    def there(self, text):
        """The text with the usual ports."""
        for usual, port in self.ports.items():
            text = re.sub(rf"\b{port}\b", usual, text)
        return text

    def run(self, command):
        """What a command writes."""
        if command.startswith("polyport serve"):
            return self.serve(command)
        limited = (
            f"timeout {SECONDS} {command}" if re.match(r"polyport|python", command) else command
        )
        self.shell.stdin.write(f"{{ {self.here(limited)}\n}} </dev/null; echo; echo {DONE}\n")
        self.shell.stdin.flush()
        lines = []
        while (line := self.shell.stdout.readline().rstrip("\n")) != DONE:
            lines.append(line)
            assert self.shell.poll() is None, "the shell has ended"
        return self.there("\n".join(lines))

    def serve(self, command):
        """Starts a server, in place of the one before, and waits until it is ready."""
        self.stop()
        words = command.split()
        for name in USUAL:
            words += ["--listen", f"{name}=127.0.0.1:0"]
        log = self.folder / "server.log"
        with log.open("w") as errors:
            self.server = subprocess.Popen(
                words,
                cwd=self.folder,
                env=self.env,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        for line in self.server.stdout:
            match line.split():
                case ["ready"]:
                    break
                case ["listening", name, address]:
                    self.ports[USUAL[name]] = address.rsplit(":", 1)[1]
        else:
            raise AssertionError(log.read_text())
        password = self.folder / "polyport-data/password"
        if password.exists():
            # The program itself looks for the server at the usual port.
            user = f"polyport:{password.read_text().strip()}"
            url = f"http://{user}@127.0.0.1:{self.ports[USUAL['http']]}"
            self.env["POLYPORT_URL"] = url
            self.run(f"export POLYPORT_URL={url}")
        return ""

    def write(self, name, text):
        """Writes or lengthens a file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(text)
        if self.server is not None:
            assert "Error" not in self.run("polyport reload"), "what is served cannot be loaded"

    def program(self, text):
        """Runs a program in Python."""
        path = self.folder / "program.py"
        path.write_text(self.here(text))
        done = subprocess.run(
            [sys.executable, path.name],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stop(self):
        """Ends the server."""
        if self.server is not None:
            self.server.send_signal(signal.SIGTERM)
            assert self.server.wait(SECONDS) == 0, "the server did not end well"
            self.server = None

    def leave(self):
        """Ends the shell and the server."""
        self.shell.stdin.close()
        self.shell.wait(SECONDS)
        self.stop()


def fits(wanted, written):
    """Whether a command wrote what the page shows."""
    parts = (re.escape(line).replace("…", ".*") for line in wanted.strip().splitlines())
    pattern = "\n".join("(?s:.*)" if part == ".*" else part for part in parts)
    lines = (line.rstrip() for line in written.strip().splitlines())
    return re.fullmatch(pattern, "\n".join(lines)) is not None


def commands(block):
    """The commands of a block, each with what it must write."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, wanted = part.partition("\n")
        while command.endswith("\\"):
            more, _, wanted = wanted.partition("\n")
            command = f"{command[:-1]} {more.strip()}"
        yield command, wanted


def steps(page):
    """What the page has its reader do: a name, and a function that does it."""
    for found in BLOCK.finditer(page):
        language, block = found.groups()
        line = page.count("\n", 0, found.start()) + 1
        file = FILE.match(block.partition("\n")[0])
        if language == "console":
            for command, wanted in commands(block):
                yield f"{line}: {command}", "shell", (command, wanted)
        elif file and language in ("python", "toml"):
            yield f"{line}: {file[1]}", "file", (file[1], block)
        elif language == "python":
            yield f"{line}: a program", "program", (block,)


def main(path):
    failed = passed = 0
    with tempfile.TemporaryDirectory() as folder:
        reader = Reader(folder)
        try:
            for name, kind, about in steps(path.read_text()):
                try:
                    if kind == "shell":
                        written = reader.run(about[0])
                        assert fits(about[1], written), f"wrote {written.strip()!r}"
                    else:
                        (reader.write if kind == "file" else reader.program)(*about)
                except (AssertionError, OSError, subprocess.SubprocessError) as error:
                    failed += 1
                    print(
                        "FAIL",
                        f"{path.name}:{name}",
                        str(error).strip().replace("\n", " | ")[-600:],
                    )
                else:
                    passed += 1
                    print("ok", f"{path.name}:{name}", flush=True)
        finally:
            reader.leave()
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
