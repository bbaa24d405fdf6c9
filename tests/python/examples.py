"""Calls what the smaller programs of examples/python serve, each from a server of its own."""

import subprocess
import sys
import tempfile
from pathlib import Path

from snippets import Reader, fits

EXAMPLES = Path(__file__).resolve().parents[2] / "examples/python"
#: What is called, and what the answer is; `…` stands for anything.
CALLS = {
    "primes.py": {
        "primes.count 2": "0",
        "primes.count 100": "25",
        "primes.count 1000000": "78498",
        "primes.factors 360": "[2,2,2,3,3,5]",
        "primes.factors 0": "error: raised: only integers from 1 up have prime factors",
    },
    "fan_out.py": {
        "ports 127.0.0.1 '[8308, 1]'": '{"port":8308,"open":true}\n{"port":1,"open":false}',
        "scan 127.0.0.1 8308 8308": "8308",
        "timings '[\"stats.workers\"]'": '["stats.workers",0.…,null]',
        "timings '[\"nothing\"]'": '["nothing",0.…,"not_found: …"]',
    },
    "progress.py": {
        "copy 3000000": '[34,…,null]\n…\n[100,…,"…"]',
        "copy 0": '[100,0,"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]',
    },
}


def main():
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        reader = Reader(folder)
        try:
            for example, calls in CALLS.items():
                reader.serve(f"polyport serve {EXAMPLES / example}")
                for call, wanted in calls.items():
                    written = reader.run(f"polyport call {call}").strip()
                    if fits(wanted, written):
                        passed += 1
                        print("ok", f"{example}: {call}", flush=True)
                    else:
                        failed += 1
                        print("FAIL", f"{example}: {call}", repr(written)[-300:], flush=True)
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            failed += 1
            print("FAIL examples", str(error).replace("\n", " | ")[-300:])
        finally:
            reader.leave()
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
