"""Migrations go without TLS only to a server on the same machine, and only where its address does not ask for TLS."""

import pytest

from shared.ledger.installation import migrator_url


@pytest.mark.parametrize(
    "server",
    [
        "postgresql://ann:p%40ss@127.0.0.1:5432/db",
        "postgresql://localhost/db",
        "postgresql://ann@[::1]:5432/db",
        "postgresql:///db",
        "postgresql:///db?host=/run/postgresql",
        "postgresql://%2Frun%2Fpostgresql/db",
    ],
)
def test_a_server_on_this_machine_needs_no_tls(server: str) -> None:
    separator = "&" if "?" in server else "?"
    assert migrator_url(server) == f"{server}{separator}role=pointstream_migrator&sslmode=disable"


@pytest.mark.parametrize(
    "server",
    [
        "postgresql://ann@db.example:5432/db",
        "postgresql://ann@localhost.example/db",
        "postgresql://ann@127.0.0.1:5432,db.example:5432/db",
        "postgresql:///db?host=db.example",
        "postgresql://ann@db.example/db?sslmode=verify-full",
        "postgresql://ann@127.0.0.1/db?sslmode=require",
    ],
)
def test_elsewhere_and_where_the_address_says_it_itself_nothing_is_said_of_tls(server: str) -> None:
    separator = "&" if "?" in server else "?"
    assert migrator_url(server) == f"{server}{separator}role=pointstream_migrator"
