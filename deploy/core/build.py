"""Building the compiled core, in a folder of its own.

Compiled modules that stood beside their sources would go on being used after these have changed. So they stand in a
folder whose name is a digest of all that they follow from, with links to everything else: with it as `PYTHONPATH`, a
process runs the checkout with a compiled core; without it, everything runs from source.
"""

import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from deploy.core import constructors

ROOT = Path(__file__).resolve().parents[2]

BUILT = ROOT / "build" / "core"

COMPILED = (
    "shared/domain/*.py",
    "shared/contracts/condition_asking.py",
    "shared/contracts/contract.py",
    "shared/contracts/headers.py",
    "shared/contracts/paid_order.py",
    "shared/contracts/repeated_keys.py",
    "shared/contracts/sums.py",
    "shared/ledger/batch.py",
    "shared/ledger/needs.py",
    "shared/ledger/orders.py",
    "shared/ledger/plan.py",
    "shared/ledger/rows.py",
    "shared/ledger/sharding.py",
)
"""What is compiled: pure, and done for every event. Coroutines and pydantic's models gain nothing by it."""

_SETUP = """
import sys
from mypyc.build import mypycify
from setuptools import setup

modules = mypycify(["--config-file", "pyproject.toml", *sys.argv[1:]], opt_level="1", debug_level="0")
setup(name="core", packages=[], ext_modules=modules, script_args=["build_ext", "--inplace"])
"""
"""Without debugging symbols and with less optimisation it takes a fifth less, and what comes out is as fast."""


class CoreError(Exception):
    """The core could not be compiled; the message has what the compiler said last."""


def built() -> Path:
    """The folder to put into `PYTHONPATH`; made where it is not there yet, which takes half a minute of a core.

    Raises `CoreError` where it cannot be made, as without a C compiler.
    """
    sources = compiled_sources()
    folder = BUILT / key_of(sources)
    if not folder.exists():
        BUILT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=BUILT, prefix="building-") as beside:
            made = Path(beside) / "made"
            _link(ROOT / "shared", made / "shared", {source.parent for source in sources})
            for name in ("services", "deploy"):
                (made / name).symlink_to(ROOT / name)
            _compile(sources, Path(beside) / "work", made)
            _put(made, folder)
    return folder


def compiled_sources() -> list[Path]:
    """The modules that are compiled."""
    found = {path for pattern in COMPILED for path in ROOT.glob(pattern) if path.name != "__init__.py"}
    return sorted(found)


def key_of(sources: Iterable[Path]) -> str:
    """A digest of all that the folder follows from: the sources, what else there is to link, and what compiles them."""
    digest = sha256()
    machine = (sys.version, platform.platform(), version("mypy"), version("setuptools"))
    names = sorted(
        str(path.relative_to(ROOT)) for path in (ROOT / "shared").rglob("*") if "__pycache__" not in path.parts
    )
    for text in (
        *machine,
        *names,
        *(path.read_text() for path in (*sources, Path(__file__), Path(constructors.__file__))),
    ):
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()[:16]


def _link(origin: Path, to: Path, opened: set[Path]) -> None:
    """Link what a folder has; one that has, or leads to, a folder in `opened` is made anew, with links in it."""
    to.mkdir(parents=True)
    for path in origin.iterdir():
        if path.name == "__pycache__":
            continue
        if path.is_dir() and any(folder.is_relative_to(path) for folder in opened):
            _link(path, to / path.name, opened)
        else:
            (to / path.name).symlink_to(path)


def _compile(sources: Iterable[Path], work: Path, made: Path) -> None:
    """Compile modules, as copies with the constructors of their data classes, and put the libraries into `made`."""
    shutil.copytree(ROOT / "shared", work / "shared", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", work)
    names = [str(path.relative_to(ROOT)) for path in sources]
    for name in names:
        (work / name).write_text(constructors.written_out((ROOT / name).read_text()))
    command = [sys.executable, "-c", _SETUP, *names]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CoreError((done.stdout + done.stderr)[-2000:])
    for library in work.rglob(f"*{sysconfig.get_config_var('EXT_SUFFIX')}"):
        place = library.relative_to(work)
        if place.parts[0] != "build":
            shutil.move(library, made / place)


def _put(made: Path, folder: Path) -> None:
    """Put what was made where it belongs, in one step. Whoever was quicker made the same."""
    try:
        made.rename(folder)
    except OSError:
        if not folder.exists():
            raise
