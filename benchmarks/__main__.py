"""Run every benchmark, or one with its options: ``python -m benchmarks [NAME [OPTION...]]``."""

from __future__ import annotations

import subprocess
import sys

ALL = ("run", "operators", "clients", "forwarding")


def main() -> int:
    """Run them one after the other, whatever the ones before have missed; exit with 1 if any has."""
    chosen, options = sys.argv[1:2] or ALL, sys.argv[2:]
    commands = [[sys.executable, "-m", f"benchmarks.{name}", *options] for name in chosen]
    return max([subprocess.run(command, check=False).returncode for command in commands])


if __name__ == "__main__":
    sys.exit(main())
