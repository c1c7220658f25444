"""Statements stand in files of their own, under `sql/` of the package that runs them."""

from importlib.resources import files


def read_sql(package: str, name: str) -> str:
    """The text of a package's statement."""
    return (files(package) / "sql" / f"{name}.sql").read_text(encoding="utf-8")
