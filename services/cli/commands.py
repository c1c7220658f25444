"""All that the `pointstream` command can do."""

import sys

import structlog
import typer

from services.cli import (
    adjust,
    bench,
    budgets,
    dead_letters,
    explain,
    importing,
    member,
    orphans,
    program,
    replay,
    run,
    send,
    simulate,
    stack,
)
from services.cli.config import errors
from services.cli.verify import command as verify
from shared.logging import quiet_libraries

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Loyalty points that are never wrong: a ledger fed by events.",
)
app.add_typer(stack.app, name="stack")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(program.app, name="program")
app.command(epilog=adjust.ADJUST_EXAMPLES)(adjust.adjust)
app.add_typer(adjust.app, name="adjustments")
app.add_typer(importing.app, name="import")
app.command(epilog="Example: pointstream init --program programs/grocery.yaml")(run.init)
app.command(epilog="Example: pointstream run earn")(run.run)
app.command(epilog="Example: pointstream up")(run.up)
app.command(
    epilog="Example: pointstream simulate --program programs/grocery.yaml --events programs/example-events.jsonl"
)(simulate.simulate)
app.command(epilog="Example: pointstream replay --from 2017-01-01 --to 2017-01-31")(replay.replay)
app.command(epilog="Example: pointstream member alice")(member.member)
app.add_typer(explain.app, name="explain")
app.command(epilog="Example: pointstream budgets --json")(budgets.budgets)
app.command(epilog="Example: pointstream orphans --older-than 30d --reason cancelled")(orphans.orphans)
app.command("verify", epilog="Example: pointstream verify --since 100000 --json")(verify.command)
app.command(epilog="Example: pointstream send --events programs/example-events.jsonl")(send.send)
app.command(epilog="Example: pointstream order alice 59.90 --brand Private")(send.order)

app.command(epilog="Example: pointstream bench --only throughput --runs 5 --json figures.json")(bench.bench)


def run_command() -> None:
    """Run the command line."""
    # Standard output is for results: whatever else is said goes to standard error.
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(file=sys.stderr))
    quiet_libraries()
    _refuse_what_is_no_text(sys.argv[1:])
    app()


def _refuse_what_is_no_text(arguments: list[str]) -> None:
    """End the command where an argument is not in UTF-8: nothing could be looked for, kept or sent by it."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            errors.print(f"{argument!r} is not in UTF-8. Nothing was done.", style="red", highlight=False, markup=False)
            sys.exit(2)
