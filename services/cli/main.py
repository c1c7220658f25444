"""The `pointstream` command."""

import typer

from services.cli import member, replay, run, send, simulate, stack
from shared.logging import quiet_libraries

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Loyalty points that are never wrong: a ledger fed by events.",
)
app.add_typer(stack.app, name="stack")
app.command(epilog="Example: pointstream init --program programs/grocery.yaml")(run.init)
app.command(epilog="Example: pointstream run earn")(run.run)
app.command(epilog="Example: pointstream up")(run.up)
app.command(
    epilog="Example: pointstream simulate --program programs/grocery.yaml --events programs/example-events.jsonl"
)(simulate.simulate)
app.command(epilog="Example: pointstream replay --from 2017-01-01 --to 2017-01-31")(replay.replay)
app.command(epilog="Example: pointstream member alice")(member.member)
app.command(epilog="Example: pointstream send --events programs/example-events.jsonl")(send.send)
app.command(epilog="Example: pointstream order alice 59.90 --brand Private")(send.order)


def main() -> None:
    """Run the command line."""
    quiet_libraries()
    app()


if __name__ == "__main__":
    main()
