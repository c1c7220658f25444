"""The compiled core decides what the core from source decides: it is held to the same cases and naive models."""

import os
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy.core import build
from deploy.core.build import ROOT, CoreError
from deploy.core.constructors import written_out
from services.cli.processes import PYTHON

SUITES = (
    "tests/contract/test_decode_any_bytes.py",
    "tests/contract/test_decode_order_paid.py",
    "tests/contract/test_refused_orders.py",
    "tests/contract/test_repeated_keys.py",
    "tests/golden/test_core.py",
    "tests/unit/test_conditions.py",
    "tests/unit/test_multipliers.py",
    "tests/unit/test_time.py",
    "tests/property/test_caps.py",
    "tests/property/test_habits_against_model.py",
    "tests/property/test_many_streams.py::test_the_core_agrees_with_the_model[0]",
    "tests/property/test_many_streams.py::test_the_core_agrees_with_the_model[1]",
)
"""Each golden case, and some four thousand streams of orders, refunds and adjustments."""

CAN_COMPILE = shutil.which((sysconfig.get_config_var("CC") or "cc").split()[0]) is not None and (
    Path(sysconfig.get_path("include"), "Python.h").exists()
)
"""Whether there is a C compiler, and Python's header. Without them everything runs from source, and so does this."""


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """What a process is started with that runs the compiled core."""
    first = [str(build.built())] if CAN_COMPILE else []
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*first, str(ROOT), str(ROOT / "tests" / "contract")])}


def python(*arguments: str, environment: dict[str, str]) -> str:
    """What Python says when it is started in the checkout, as workers are."""
    command = [*PYTHON, *arguments]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout


def test_the_compiled_core_passes_what_the_core_passes(environment: dict[str, str]) -> None:
    options = ("-q", "--import-mode=importlib", "-p", "no:cacheprovider")
    said = python("-m", "pytest", *options, *SUITES, environment=environment)
    assert " passed" in said
    assert "failed" not in said


def test_every_module_of_the_core_is_compiled(environment: dict[str, str]) -> None:
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in build.compiled_sources()]
    assert "shared.domain.decide" in names
    lines = [f"import importlib; print(importlib.import_module({name!r}).__file__)" for name in names]
    for file in python("-c", "\n".join(lines), environment=environment).splitlines():
        assert file.endswith(sysconfig.get_config_var("EXT_SUFFIX") if CAN_COMPILE else ".py"), file


def test_a_process_says_which_core_it_runs(environment: dict[str, str]) -> None:
    ask = ("-c", "from shared.core import core; print(core())")
    assert python(*ask, environment=environment) == ("compiled\n" if CAN_COMPILE else "source\n")
    assert python(*ask, environment={**environment, "PYTHONPATH": str(ROOT)}) == "source\n"


def test_without_a_compiler_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "BUILT", tmp_path)
    monkeypatch.setattr(build, "COMPILED", ("shared/domain/ids.py",))
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(CoreError, match="no-such-compiler"):
        build.built()
    assert list(tmp_path.iterdir()) == [], "nothing is left that could be taken for a core"


def test_a_changed_source_is_another_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a process never runs compiled what its sources do not say any more."""
    for name in ("decide.py", "order.py"):
        (tmp_path / "shared" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "shared" / name).write_text("A = 1\n")
    monkeypatch.setattr(build, "ROOT", tmp_path)
    sources = [tmp_path / "shared" / "decide.py"]
    before = build.key_of(sources)
    (tmp_path / "shared" / "order.py").write_text("A = 2\n")
    assert build.key_of(sources) == before, "what is not compiled is linked, and may change"
    (tmp_path / "shared" / "decide.py").write_text("A = 2\n")
    assert build.key_of(sources) != before
    (tmp_path / "shared" / "decide.py").write_text("A = 1\n")
    assert build.key_of(sources) == before
    (tmp_path / "shared" / "entry.py").write_text("")
    assert build.key_of(sources) != before, "a new module has to be linked"


SOURCE = '''\
from dataclasses import dataclass, field


@dataclass(slots=True)
class Lot:
    """Points."""

    points: int
    name: str = "a"
    """Its name."""
    parts: list[int] = field(default_factory=list)

    @property
    def double(self) -> int:
        return 2 * self.points


@dataclass(frozen=True, slots=True)
class Frozen:
    points: int
'''


def test_constructors_are_written_out_without_moving_a_line() -> None:
    written = written_out(SOURCE)
    lines = zip(SOURCE.splitlines(), written.splitlines(), strict=True)
    changed = [(before, after) for before, after in lines if before != after]
    ((before, after),) = changed
    assert before == ""
    assert after == (
        "    def __init__(self, points: int, name: str = 'a', parts: 'list[int] | None' = None) -> None: "
        "self.points = points; self.name = name; self.parts = list() if parts is None else parts"
    )
    space: dict[str, type] = {"dataclass": dataclass, "field": field}
    exec(compile(written, "lot.py", "exec", dont_inherit=True), space)  # noqa: S102 - it stands above
    one, other = space["Lot"](1), space["Lot"](1, "b", [2])
    assert (one.points, one.name, one.parts, one.double) == (1, "a", [], 2)
    assert (other.name, other.parts) == ("b", [2])
    assert space["Lot"](1).parts is not one.parts
    assert one == space["Lot"](points=1)
