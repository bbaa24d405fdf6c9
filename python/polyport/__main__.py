"""``python -m polyport …`` is the program ``polyport`` that the package brings."""

import os
import shutil
import sys
import sysconfig


def main() -> int:
    """Becomes the program, which runs functions with this Python."""
    beside = os.path.join(sysconfig.get_path("scripts"), "polyport")
    program = beside if os.access(beside, os.X_OK) else shutil.which("polyport")
    if program is None:
        print("there is no program polyport beside this Python or on the path", file=sys.stderr)
        return 1
    os.environ.setdefault("POLYPORT_PYTHON", sys.executable)
    os.execv(program, ["polyport", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
