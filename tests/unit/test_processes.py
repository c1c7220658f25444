"""What a child process is told."""

import pytest

from services.cli.processes import as_environment
from shared.settings import Settings


@pytest.mark.parametrize("tokens", [[], [{"actor": "ann", "role": "agent", "sha256": "0" * 64}]])
def test_a_child_reads_the_settings_of_its_parent(monkeypatch: pytest.MonkeyPatch, tokens: list[object]) -> None:
    settings = Settings.model_validate({"installation": "other", "lanes": 3, "operator_tokens": tokens})
    for name, value in as_environment(settings).items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings
