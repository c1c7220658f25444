"""Provider: servers whose addresses stand in the environment. They are asked, and never started or stopped."""

from collections.abc import Mapping

from .model import TITLES, VARIABLES, ProviderName, Say, Server, ServerState, ServerStatus, StackError, shown
from .probe import NotAnsweringError, ask


class Given:
    """The servers that somebody else runs."""

    name = ProviderName.ENVIRONMENT

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Take the addresses out of `environment`; an empty variable counts as none."""
        self._given = {
            server: environment[variable] for server, variable in VARIABLES.items() if environment.get(variable)
        }

    def offers(self, server: Server) -> bool:
        """Whether the server's address is given."""
        return server in self._given

    def up(self, servers: frozenset[Server], say: Say) -> None:
        """Check that each of `servers` answers; StackError when one does not."""
        for server in sorted(servers):
            try:
                ask(server, self._given[server])
            except NotAnsweringError as error:
                raise StackError(
                    f"{TITLES[server]} does not answer at {shown(self._given[server])}, the address in "
                    f"{VARIABLES[server]}: {error}. Start it, correct {VARIABLES[server]}, or unset it to have one "
                    "started here."
                ) from error
            say(f"{TITLES[server]} answers at {shown(self._given[server])} (from {VARIABLES[server]})")

    def down(self, *, wipe: bool, say: Say) -> None:
        """Say that the servers are left alone."""
        for server, address in self._given.items():
            say(f"{TITLES[server]} at {shown(address)} is left alone: it was given in {VARIABLES[server]}")

    def address(self, server: Server) -> str | None:
        """The server's address, whether or not it answers."""
        return self._given.get(server)

    def status(self, server: Server) -> ServerStatus:
        """The server as it answers now."""
        address = self._given[server]
        try:
            ask(server, address)
            state = ServerState.READY
        except NotAnsweringError:
            state = ServerState.NOT_ANSWERING
        return ServerStatus(server, self.name, state, address=shown(address))
