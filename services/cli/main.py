"""The `pointstream` command. To load all of it takes a while, so what is done about Ctrl-C comes first."""

import importlib

from services.cli.interrupting import ending_at_once


def main() -> None:
    """Run the command line."""
    with ending_at_once():
        commands = importlib.import_module("services.cli.commands")
    commands.run_command()


if __name__ == "__main__":
    main()
