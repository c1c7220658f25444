"""Topics are made so that what is acknowledged is kept."""

import pytest

from shared.ledger.installation import Clock
from shared.settings import Settings
from shared.stream.topics import wanted_topics


@pytest.mark.parametrize(("replicas", "in_sync"), [(1, None), (2, None), (3, "2"), (5, "2")])
def test_with_three_replicas_an_acknowledged_record_is_on_two_brokers(replicas: int, in_sync: str | None) -> None:
    topics = wanted_topics(Settings(kafka_replicas=replicas), 4, Clock.LIVE)
    assert {topic.replication_factor for topic in topics} == {replicas}
    assert {topic.topic_configs.get("min.insync.replicas") for topic in topics} == {in_sync}
