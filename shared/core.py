"""Whether the core runs compiled or from source (docs/adr/0017). It decides the same; only what it costs differs."""

from shared.domain import decide


def core() -> str:
    """`compiled` or `source`: which of the two this process runs."""
    return "source" if str(decide.__file__).endswith(".py") else "compiled"
