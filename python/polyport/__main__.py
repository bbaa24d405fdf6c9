"""``python -m polyport …`` is the program ``polyport`` that the package brings."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig

NO_PROGRAM = "there is no program polyport beside this Python or on the path"


def program() -> str | None:
    """Where the program is, if it is anywhere."""
    beside = os.path.join(sysconfig.get_path("scripts"), "polyport")
    return beside if os.access(beside, os.X_OK) else shutil.which("polyport")


def main() -> int:
    """Becomes the program, which runs functions with this Python."""
    found = program()
    if found is None:
        print(NO_PROGRAM, file=sys.stderr)
        return 1
    os.environ.setdefault("POLYPORT_PYTHON", sys.executable)
    os.execv(found, ["polyport", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
