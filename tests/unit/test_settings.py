"""Addresses that are none are refused with the form that they should have; what was chosen is known from defaults."""

import pytest
from pydantic import ValidationError

from services.cli.config import load_settings
from services.cli.processes import as_environment
from shared.settings import Settings


@pytest.mark.parametrize(
    ("setting", "address"),
    [
        ("kafka", "127.0.0.1:9092"),
        ("kafka", "a.example:9092,b.example:9092,[::1]:9092"),
        ("kafka", "broker"),
        ("postgres", "postgresql://user:p%40ss@db.example:5432/postgres"),
        ("postgres", "postgres://user@a.example:5432,b.example:5432/postgres?target_session_attrs=any"),
        ("postgres", "postgresql:///postgres?host=/run/postgresql"),
        ("redis", "redis://:secret@127.0.0.1:6379/0"),
        ("redis", "rediss://[::1]:6379"),
        ("redis", "unix:///run/valkey.sock"),
    ],
)
def test_an_address_is_taken_as_it_is(setting: str, address: str) -> None:
    assert Settings.model_validate({setting: address}).model_dump()[setting] == address


@pytest.mark.parametrize(
    ("setting", "address", "form"),
    [
        ("kafka", "127.0.0.1:abc", "HOST:PORT"),
        ("kafka", "127.0.0.1:65536", "HOST:PORT"),
        ("kafka", "a.example:9092,", "HOST:PORT"),
        ("kafka", "kafka://a.example:9092", "HOST:PORT"),
        ("postgres", "db.example", "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"),
        ("postgres", "mysql://db.example/postgres", "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"),
        ("postgres", "postgresql://db.example:abc/postgres", "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"),
        ("postgres", "postgresql://[::1/postgres", "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"),
        ("redis", "127.0.0.1:6379", "redis://HOST:PORT/0"),
        ("redis", "redis://127.0.0.1:x/0", "redis://HOST:PORT/0"),
        ("redis", "redis://", "redis://HOST:PORT/0"),
    ],
)
def test_what_is_no_address_is_refused(setting: str, address: str, form: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({setting: address})
    (error,) = caught.value.errors()
    assert error["loc"] == (setting,)
    assert form in error["msg"]


def test_a_port_for_metrics_was_chosen_where_a_variable_names_it_and_is_for_children_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("POINTSTREAM_POSTGRES", "postgresql://db.example/postgres")
    monkeypatch.setenv("POINTSTREAM_KAFKA", "broker:9092")
    monkeypatch.setenv("POINTSTREAM_REDIS", "redis://cache.example/0")
    monkeypatch.setenv("POINTSTREAM_EARN_METRICS_PORT", "8081")
    for settings in (load_settings(), load_settings(installation="other")):
        assert settings.is_metrics_port_set("earn"), "it is the default's number, but somebody means it"
        assert not settings.is_metrics_port_set("expiry")
        given = as_environment(settings)
        assert given["POINTSTREAM_EARN_METRICS_PORT"] == "8081"
        assert "POINTSTREAM_EXPIRY_METRICS_PORT" not in given
