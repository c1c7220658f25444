"""Kafka's jars: the ones in kafka_jars.json, downloaded once from the Maven registry and checked by checksum."""

import fcntl
import hashlib
import importlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from .model import Say, StackError

LOCK = Path(__file__).with_name("kafka_jars.json")

_AT_A_TIME = 6
_TRIES = 3
_TIMEOUT_S = 30


class Jar(BaseModel, frozen=True):
    """One jar. `coordinate` is group:artifact:version, `size` in bytes."""

    coordinate: str
    size: int
    sha256: str

    @property
    def file_name(self) -> str:
        """The name that the registry gives the file."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


class JarLock(BaseModel, frozen=True):
    """The jars that make up one version of Kafka."""

    version: str
    jars: list[Jar]


def cache_folder() -> Path:
    """Where downloads are kept, for all checkouts of the user (XDG_CACHE_HOME, else ~/.cache)."""
    configured = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(configured) if Path(configured).is_absolute() else Path.home() / ".cache") / "pointstream"


def kafka_jars(say: Say) -> Path:
    """The folder with Kafka's jars, downloaded first when they are not there; StackError when that fails."""
    lock = JarLock.model_validate_json(LOCK.read_bytes())
    cache = cache_folder()
    folder = cache / f"kafka-{lock.version}"
    if _complete(folder, lock):
        return folder
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _one_download(cache / "lock", say):
            if not _complete(folder, lock):  # another checkout may have got them meanwhile
                _download_all(lock, folder, say)
    except OSError as error:
        raise StackError(
            f"Kafka's jars cannot be kept in {cache}: {error.strerror}. Set XDG_CACHE_HOME to a folder of your own."
        ) from error
    return folder


def _complete(folder: Path, lock: JarLock) -> bool:
    # The folder got its name after every checksum was found right; the sizes tell what was damaged since.
    return all(_size(folder / jar.file_name) == jar.size for jar in lock.jars)


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


@contextmanager
def _one_download(lock_file: Path, say: Say) -> Iterator[None]:
    with lock_file.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Kafka is being downloaded by another `pointstream stack up`: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _download_all(lock: JarLock, folder: Path, say: Say) -> None:
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    unfinished.mkdir(exist_ok=True)
    missing = [jar for jar in lock.jars if not _is_right(unfinished / jar.file_name, jar)]
    size_mb = sum(jar.size for jar in missing) / 1e6
    say(f"Downloading Kafka {lock.version} once, {len(missing)} jars, {size_mb:.0f} MB, to {folder}")
    pool = ThreadPoolExecutor(_AT_A_TIME)
    try:
        downloads = {pool.submit(_download, jar, unfinished): jar for jar in missing}
        for done, download in enumerate(as_completed(downloads), start=1):
            download.result()
            jar = downloads[download]
            say(f"  [{done:2}/{len(missing)}] {jar.file_name} ({jar.size / 1e6:.1f} MB)")
    finally:
        pool.shutdown(cancel_futures=True)
    _remove_others(unfinished, {jar.file_name for jar in lock.jars})
    if folder.exists():
        shutil.rmtree(folder)
    unfinished.replace(folder)


def _download(jar: Jar, folder: Path) -> None:
    """Put the jar into `folder`, by a name of its own until its checksum is known to be right."""
    problem = ""
    for attempt in range(_TRIES):
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            try:
                found = _fetch(jar, Path(scratch), use_local=attempt == 0)
            except (OSError, RuntimeError) as error:  # requests' errors are OSErrors
                problem = str(error)
                continue
            if not _is_right(found, jar):
                problem = "what the registry sent has another checksum than the one in kafka_jars.json"
                continue
            shutil.copyfile(found, Path(scratch) / "checked")
            (Path(scratch) / "checked").replace(folder / jar.file_name)
            return
    raise StackError(
        f"{jar.file_name} could not be downloaded from the Maven registry: {problem}\n"
        "Check the network (a proxy goes into HTTPS_PROXY, a mirror into the [repositories] of ~/.config/jgo.conf) "
        "and run it again: what has come so far is kept. Or set POINTSTREAM_KAFKA to a Kafka that runs already."
    )


def _fetch(jar: Jar, scratch: Path, *, use_local: bool) -> Path:
    """The jar, unchecked: out of the user's own Maven repository if it may be and is there, else downloaded."""
    maven = importlib.import_module("jgo.maven")
    settings: Any = importlib.import_module("jgo.config").GlobalSettings.load()
    central = importlib.import_module("jgo.constants").MAVEN_CENTRAL_URL
    context = maven.MavenContext(
        repo_cache=scratch,
        local_repos=[settings.repo_cache] if use_local else [],
        remote_repos={**settings.repositories, "central": central},
        timeout=_TIMEOUT_S,
    )
    group, artifact, version = jar.coordinate.split(":")
    return Path(context.project(group, artifact).at_version(version).artifact().resolve())


def _is_right(path: Path, jar: Jar) -> bool:
    return _size(path) == jar.size and hashlib.sha256(path.read_bytes()).hexdigest() == jar.sha256


def _remove_others(folder: Path, wanted: set[str]) -> None:
    for path in folder.iterdir():
        if path.name not in wanted:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
