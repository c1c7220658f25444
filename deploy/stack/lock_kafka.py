"""Write kafka_jars.json anew: `python -m deploy.stack.lock_kafka`. For maintainers who change Kafka's version.

Asks the Maven registry which jars Kafka needs, downloads them and writes down their sizes and checksums.
"""

import hashlib
import tempfile
from pathlib import Path
from typing import Any

from jgo.maven import MavenContext, PythonResolver

from .kafka_jars import LOCK, Jar, JarLock

KAFKA_VERSION = "4.1.0"

KAFKA = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}"

# Kafka's own list has log4j, but not what leads slf4j to it. Not resolved beside Kafka: its parent would then
# decide the versions of Kafka's other dependencies.
LOG4J = ("org.apache.logging.log4j", "log4j-core")
SLF4J_TO_LOG4J = "log4j-slf4j-impl"


def main() -> None:
    """Resolve, download, and write the lock file."""
    with tempfile.TemporaryDirectory() as folder:
        context = MavenContext(resolver=PythonResolver(), repo_cache=Path(folder), timeout=60)
        inputs, transitive = context.resolver.resolve([context.create_dependency(f"{KAFKA}:compile")])
        components = [needed.artifact.component for needed in [*inputs, *transitive]]
        log4j = next(one for one in components if (one.groupId, one.artifactId) == LOG4J)
        components.append(context.project(log4j.groupId, SLF4J_TO_LOG4J).at_version(log4j.version))
        jars = sorted((_jar(component) for component in components), key=lambda jar: jar.coordinate)
    if len({jar.file_name for jar in jars}) != len(jars):
        raise SystemExit("two jars have the same file name: they cannot share a folder")
    LOCK.write_text(JarLock(version=KAFKA_VERSION, jars=jars).model_dump_json(indent=1) + "\n")
    print(f"{LOCK.name}: {len(jars)} jars, {sum(jar.size for jar in jars) / 1e6:.0f} MB")


def _jar(component: Any) -> Jar:  # jgo's components have no types
    content = component.artifact().resolve().read_bytes()
    return Jar(
        coordinate=f"{component.groupId}:{component.artifactId}:{component.version}",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


if __name__ == "__main__":
    main()
