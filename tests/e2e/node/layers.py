"""Layers of images, made without a registry: Debian's Python unpacked, and what pip puts on top of it.

A layer is a folder in the cache, named by what it is made of: ``root/`` (its files), ``layer.tar`` (the same
as an archive) and ``digest``. Layers that pip adds are the upper side of an overlay mount over the layers
below, so each holds only what is new.
"""

import hashlib
import os
import platform
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.node.commands import Failed, locked, run
from tests.e2e.node.places import cache, remove_unused

DEBIAN_PACKAGES = ("python3", "dash", "busybox-static", "base-files")
# Raised when the way a layer is made changes.
RECIPE = 1

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
dask:x:1000:1000:dask:/tmp:/bin/sh
rapids:x:1001:1000:rapids:/tmp:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
"""
GROUP = """\
root:x:0:
dask:x:1000:
nogroup:x:65534:
"""

# Runs in a mount namespace of its own. Arguments: merged folder, overlay options, folder of wheels; and those
# for pip.
PIP_IN_CHROOT = """\
set -e
merged=$1 options=$2 wheels=$3; shift 3
mount -t overlay overlay -o "$options" "$merged"
mount --bind "$wheels" "$merged/mnt"
exec env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LANG=C.UTF-8 chroot "$merged" \
  /usr/bin/python3 -B /mnt/pip.whl/pip install -q --no-index --find-links /mnt --no-cache-dir \
  --break-system-packages --root-user-action=ignore "$@"
"""


@dataclass(frozen=True)
class Layer:
    """A layer in the cache."""

    directory: Path

    @property
    def root(self) -> Path:
        return self.directory / "root"

    @property
    def tar(self) -> Path:
        return self.directory / "layer.tar"

    @property
    def digest(self) -> str:
        return (self.directory / "digest").read_text()


def debian() -> Layer:
    """Make the layer with Debian's Python, a shell, and busybox for the commands people try in pods."""
    return _make("debian", [*DEBIAN_PACKAGES, PASSWD, GROUP, _release()], _fill_debian)


def pip(
    name: str,
    below: Sequence[Layer],
    requirements: Sequence[str],
    *,
    key: str = "",
    dependencies: bool = True,
) -> Layer:
    """Make the layer with what pip installs on these layers.

    Parameters
    ----------
    name : str
        Begins the name of its folder; of the same name, those unused for a week are removed.
    below : sequence of Layer
        Lowest first.
    requirements : sequence of str
        As pip takes them; also paths of wheels.
    key : str
        Stands for the content of the wheels.
    dependencies : bool
        Whether what is required by the requirements is installed too.
    """

    def fill(root: Path) -> None:
        wheels = root.with_name("wheels")
        _download(wheels, requirements, _python_version(below[0]), dependencies)
        for helper in ("work", "merged"):
            root.with_name(helper).mkdir()
        lower = ":".join(str(layer.root) for layer in reversed(below))
        options = f"lowerdir={lower},upperdir={root},workdir={root.with_name('work')}"
        wanted = [f"/mnt/{Path(one).name}" if one.endswith(".whl") else one for one in requirements]
        shell = ("unshare", "--mount", "--propagation=private", "sh", "-c", PIP_IN_CHROOT, "pip")
        run(
            *shell,
            root.with_name("merged"),
            options,
            wheels,
            *([] if dependencies else ["--no-deps"]),
            *wanted,
        )
        hidden = [path for path in root.rglob("*") if path.is_char_device()]
        if hidden:
            raise Failed(
                f"pip replaced packages of the layers below {name}, e.g. {hidden[0].relative_to(root)}"
            )

    return _make(
        name, [key or repr(list(requirements)), repr(dependencies), *(one.digest for one in below)], fill
    )


def files(name: str, contents: dict[str, bytes]) -> Layer:
    """Make a layer of programs: path below / and content."""

    def fill(root: Path) -> None:
        for path, content in contents.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
            (root / path).chmod(0o755)

    key = hashlib.sha256(b"".join(path.encode() + content for path, content in contents.items())).hexdigest()
    return _make(name, [*contents, key], fill)


def _make(name: str, made_of: Sequence[str], fill: Callable[[Path], None]) -> Layer:
    key = hashlib.sha256("\0".join([str(RECIPE), *made_of]).encode()).hexdigest()[:16]
    directory = cache() / "layers" / f"{name}-{key}"
    directory.parent.mkdir(exist_ok=True)
    with locked(cache() / "layers.lock"):
        if not directory.exists():
            print(f"e2e node: making image layer {directory.name}", flush=True)
            remove_unused(directory.parent, name)
            partial = directory.parent / "partial"
            shutil.rmtree(partial, ignore_errors=True)
            (partial / "root").mkdir(parents=True)
            fill(partial / "root")
            _pack(partial)
            partial.rename(directory)
        os.utime(directory)
    return Layer(directory)


def _pack(directory: Path) -> None:
    # With their times: Python heeds compiled modules only while the time of their source is the same.
    archive = directory / "layer.tar"
    owner = ("--numeric-owner", "--owner=0", "--group=0")
    run("tar", "--sort=name", *owner, "-C", directory / "root", "-cf", archive, ".")
    digest = hashlib.sha256()
    with archive.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    (directory / "digest").write_text(digest.hexdigest())
    for extra in ("work", "merged", "wheels"):
        shutil.rmtree(directory / extra, ignore_errors=True)


def _release() -> str:
    return Path("/etc/os-release").read_text()


def _fill_debian(root: Path) -> None:
    archives = root.with_name("wheels")
    (archives / "partial").mkdir(parents=True)
    # With an empty list of installed packages apt gives all that these need, not only what is missing here.
    options = ("-o", "Dir::State::status=/dev/null", "-o", f"Dir::Cache::archives={archives}")
    fetch = (
        "apt-get",
        *options,
        "-qq",
        "-y",
        "-d",
        "--no-install-recommends",
        "-o",
        "APT::Sandbox::User=root",
    )
    run(*fetch, "install", *DEBIAN_PACKAGES)
    # base-files first: where /bin is a link to /usr/bin, it is the one that says so.
    for package in sorted(
        archives.glob("*.deb"), key=lambda path: (not path.name.startswith("base-files_"), path.name)
    ):
        run("dpkg-deb", "-x", package, root)
    for useless in ("doc", "man", "locale", "lintian", "info"):
        shutil.rmtree(root / "usr" / "share" / useless, ignore_errors=True)
    (root / "etc" / "passwd").write_text(PASSWD)
    (root / "etc" / "group").write_text(GROUP)
    (root / "etc" / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
    if not (root / "bin" / "sh").exists():
        (root / "bin" / "sh").symlink_to("dash")
    (root / "usr" / "bin" / "python").symlink_to("python3")
    for point in ("dev", "mnt", "proc", "sys", "tmp"):
        (root / point).mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    run("chroot", root, "/bin/busybox", "--install", "-s")
    library = f"/usr/lib/python{_python_version_of(root)}"
    run("chroot", root, "/usr/bin/python3", "-m", "compileall", "-q", library)


def _python_version(layer: Layer) -> str:
    return _python_version_of(layer.root)


def _python_version_of(root: Path) -> str:
    return (root / "usr" / "bin" / "python3").readlink().name.removeprefix("python")


def _download(wheels: Path, requirements: Sequence[str], python: str, dependencies: bool) -> None:
    wheels.mkdir()
    machine = platform.machine()
    tags = [f"manylinux{tag}_{machine}" for tag in ("2014", "_2_17", "_2_28", "_2_34")]
    platforms = [word for tag in tags for word in ("--platform", tag)]
    only = (
        "--only-binary=:all:",
        "--python-version",
        python,
        *platforms,
        *([] if dependencies else ["--no-deps"]),
    )
    run(sys.executable, "-m", "pip", "download", "-qq", *only, "-d", wheels, *requirements)
    run(sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "-d", wheels / "installer", "pip")
    next((wheels / "installer").glob("pip-*.whl")).rename(wheels / "pip.whl")
