"""Text from outside on a terminal."""


def plain(text: str) -> str:
    """An id from outside as it may be shown: no line breaks, and nothing that a terminal would obey."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
