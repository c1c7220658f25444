"""The stack as a whole: each server from the first provider that offers it."""

import importlib
import os
from pathlib import Path
from typing import Protocol

from .given import Given
from .model import VARIABLES, Addresses, ProviderName, Say, Server, ServerStatus, StackError, StackStatus
from .state import STATE_FILE

HOME_VARIABLE = "POINTSTREAM_HOME"


class Provider(Protocol):
    """Where servers can come from. One module each; a Docker engine's place is between the two there are."""

    name: ProviderName

    def offers(self, server: Server) -> bool:
        """Whether it can give `server`."""
        ...

    def up(self, servers: frozenset[Server], say: Say) -> None:
        """See to it that `servers` answer, or raise StackError."""
        ...

    def down(self, *, wipe: bool, say: Say) -> None:
        """Stop what it started, and with `wipe` remove its data."""
        ...

    def address(self, server: Server) -> str | None:
        """The address of `server`, or None when it does not run."""
        ...

    def status(self, server: Server) -> ServerStatus:
        """What `server` says when it is asked."""
        ...


def home() -> Path:
    """The stack's folder: POINTSTREAM_HOME, else `.pointstream` in the project that the current folder is in."""
    configured = os.environ.get(HOME_VARIABLE)
    return Path(configured).expanduser().resolve() if configured else project() / ".pointstream"


def project() -> Path:
    """The nearest folder upwards with a pyproject.toml, else the current one."""
    here = Path.cwd().resolve()
    return next((folder for folder in (here, *here.parents) if (folder / "pyproject.toml").is_file()), here)


def up(root: Path, say: Say) -> Addresses:
    """Bring up what is not up yet, and return when every server answers.

    `say` is called with a line for a person, also from other threads. StackError when a server cannot be had;
    then nothing that this call started goes on running, and neither does it after a KeyboardInterrupt.
    """
    providers = _providers(root)
    for provider in providers:
        servers = frozenset(server for server in Server if _provider(providers, server) is provider)
        if servers:
            provider.up(servers, say)
    found = addresses(root)
    if found is None:
        raise StackError("A server ended right after it was ready: look into `pointstream stack status`")
    return found


def down(root: Path, wipe: bool, say: Say) -> None:
    """Stop the servers that belong to `root`, and with `wipe` remove their data. Given addresses are left alone.

    StackError when a server cannot be stopped; then nothing is removed.
    """
    for provider in _providers(root):
        provider.down(wipe=wipe, say=say)


def status(root: Path) -> StackStatus:
    """Ask every server how it is."""
    providers = _providers(root)
    return StackStatus(root.resolve(), tuple(_provider(providers, server).status(server) for server in Server))


def addresses(root: Path) -> Addresses | None:
    """Where the servers are, or None when one does not run. Given addresses are not asked whether they answer."""
    providers = _providers(root)
    found = {server.value: _provider(providers, server).address(server) for server in Server}
    known = {name: address for name, address in found.items() if address is not None}
    return Addresses(**known) if len(known) == len(found) else None


def _providers(root: Path) -> list[Provider]:
    """The providers, the first choice first. The local one needs packages that an installation may be without."""
    given = Given(os.environ)
    if all(given.offers(server) for server in Server) and not (root / STATE_FILE).exists():
        return [given]
    try:
        local: Provider = importlib.import_module("deploy.stack.local").Local(root.resolve(), project())
    except ModuleNotFoundError as error:
        raise StackError(
            f"The package {error.name} is missing: install `pointstream[stack]`, or give the addresses of running "
            f"servers in {', '.join(VARIABLES.values())}."
        ) from error
    return [given, local]


def _provider(providers: list[Provider], server: Server) -> Provider:
    return next(provider for provider in providers if provider.offers(server))
