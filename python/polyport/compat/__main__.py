"""``python -m polyport.compat`` is how the server starts a worker of such a program."""

import sys

from polyport.compat.worker import main

main(sys.argv[1:])
