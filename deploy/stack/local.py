"""Provider: real servers as local processes, out of registry packages. Loopback only, data under one folder."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from .local_folder import data_bytes, refuse_foreign, remove
from .local_kafka import LocalKafka
from .local_postgres import LocalPostgres
from .local_redis import LocalRedis
from .local_server import LocalServer
from .local_start import start_all, stop_all, wait_ready
from .model import TITLES, ProviderName, Say, Server, ServerState, ServerStatus, shown
from .ports import free_ports, is_free
from .probe import NotAnsweringError, ask
from .process import find, memory_bytes, wait_until
from .state import STATE_FILE, DamagedStateError, State, load, locked, new_state, save

_KINDS: Mapping[Server, type[LocalServer]] = MappingProxyType(
    {Server.KAFKA: LocalKafka, Server.POSTGRES: LocalPostgres, Server.REDIS: LocalRedis}
)

LET_GO_LIMIT_S = 3.0
"""A server that was killed has let go of its ports by then."""


class Local:
    """The servers whose processes and data belong to the folder `root`."""

    name = ProviderName.LOCAL

    def __init__(self, root: Path, checkout: Path) -> None:
        """Take the folder, and the checkout on whose behalf it is used."""
        self._root = root
        self._checkout = checkout

    def offers(self, server: Server) -> bool:
        """Whether it can run `server`."""
        return server in _KINDS

    def up(self, servers: frozenset[Server], say: Say) -> None:
        """See to it that each of `servers` runs and answers; StackError when one does not.

        What was started here is stopped again when another one fails, or when the wait is interrupted.
        """
        with locked(self._root, say):
            state = self._state_to_work_with(say)
            if state.root != self._root:
                Local(state.root, self._checkout).up(servers, say)
                return
            wanted = [_KINDS[server](state) for server in sorted(servers)]
            running = [one for one in wanted if find(state.processes.get(one.server))]
            stopped = [one for one in wanted if one not in running]
            _say_what_was_found(state, self._checkout, running, stopped, say)
            for one in running:
                wait_ready(one)
            for one in stopped:
                one.fetch(say)
            if not running:
                state.checkout = self._checkout
            _choose_ports(state, stopped, say)
            save(state)
            start_all(stopped, say)

    def down(self, *, wipe: bool, say: Say) -> None:
        """Stop what runs, and with `wipe` remove its data; StackError when a server cannot be stopped."""
        if not self._root.exists():
            say(f"Nothing is up: there is no {self._root}")
            return
        with locked(self._root, say):
            state = self._state_or_none(forgive=wipe)
            if state is not None and state.root == self._root:
                stop_all([_KINDS[server](state) for server in sorted(_KINDS)], say)
            elif state is not None:
                say(f"{self._root} is a copy of the stack in {state.root}: that one is left alone")
            if wipe:
                remove(self._root, state, say)

    def address(self, server: Server) -> str | None:
        """The server's address when its process runs, else None."""
        state = self._current_state()
        if state is None or find(state.processes.get(server)) is None:
            return None
        return _KINDS[server](state).address()

    def status(self, server: Server) -> ServerStatus:
        """The server as it answers now."""
        state = self._current_state()
        if state is None:
            return ServerStatus(server, self.name, ServerState.DOWN)
        local = _KINDS[server](state)
        known = set(local.port_names) <= state.ports.keys()
        found = ServerStatus(
            server,
            self.name,
            ServerState.DOWN,
            address=shown(local.address()) if known else None,
            data_bytes=data_bytes(local.folder),
        )
        process = find(state.processes.get(server))
        if process is None:
            return found
        return replace(found, state=_answer(local), pid=process.pid, memory_bytes=memory_bytes(process))

    def _state_or_none(self, *, forgive: bool) -> State | None:
        try:
            return load(self._root)
        except DamagedStateError:
            if forgive:
                return None
            raise

    def _current_state(self) -> State | None:
        """What is remembered here or, when this is a copy, by the original as long as that one runs."""
        state = load(self._root)
        if state is None or state.root == self._root:
            return state
        original = load(state.root)
        return original if original is not None and _runs(original) else state

    def _state_to_work_with(self, say: Say) -> State:
        """The current state. One that was copied or moved here becomes this folder's own, if the original is down."""
        state = self._current_state()
        if state is None:
            refuse_foreign(self._root)
            return new_state(self._root, self._checkout)
        original = state.root
        if original == self._root:
            return state
        if not (original / STATE_FILE).exists():
            say(f"The stack was moved here from {original}")
            return state.model_copy(update={"root": self._root})
        if _runs(state):
            say(f"{self._root} is a copy of the stack in {original}, which runs: that one is used")
            return state
        say(f"{self._root} is a copy of the stack in {original}: from now on it is a stack of its own")
        return state.model_copy(update={"root": self._root, "processes": {}, "postgres_place": None})


def _answer(local: LocalServer) -> ServerState:
    try:
        ask(local.server, local.address())
    except NotAnsweringError:
        return ServerState.NOT_ANSWERING
    return ServerState.READY


def _runs(state: State) -> bool:
    return any(find(process) for process in state.processes.values())


def _say_what_was_found(
    state: State, checkout: Path, running: list[LocalServer], stopped: list[LocalServer], say: Say
) -> None:
    if running and state.checkout != checkout:
        say(f"The stack in {state.root} was brought up from {state.checkout}; it is used from here too")
    if running and not stopped:
        say("The stack is already up")
    for one in stopped:
        if one.server in state.processes:
            pid = state.processes[one.server].pid
            say(f"{TITLES[one.server]} ended without being stopped (process {pid} is gone): it is started again")


def _choose_ports(state: State, servers: list[LocalServer], say: Say) -> None:
    """Give each server its ports: those of last time unless somebody has taken one."""
    names = [name for one in servers for name in one.port_names]
    taken = [name for name in names if name in state.ports and not _becomes_free(state.ports[name])]
    missing = [name for name in names if name not in state.ports or name in taken]
    # One that a stopped server of this stack remembers is free to look at, but not free to have.
    kept = {port for name, port in state.ports.items() if name not in missing}
    ports = [port for port in free_ports(len(missing) + len(kept)) if port not in kept]
    for name, port in zip(missing, ports, strict=False):
        if name in taken:
            say(f"Port {state.ports[name]} ({name}) is taken by another program: {port} is used from now on")
        state.ports[name] = port


def _becomes_free(port: int) -> bool:
    """Whether a port is free, or becomes so within moments: a killed server keeps it until its last thread is gone."""
    return wait_until(lambda: is_free(port), LET_GO_LIMIT_S)
