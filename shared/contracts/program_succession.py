"""Which program may follow which: what a new version must leave as it is, since the past was decided with it."""

from collections.abc import Sequence

from shared.contracts.program import ProgramDocument


def obstacles(new: ProgramDocument, known: Sequence[ProgramDocument], *, begun: bool) -> list[str]:
    """Why a version cannot follow those known (oldest first), each with the path of the field; empty when it can.

    `begun` says whether any event was decided yet.
    """
    if not known:
        return []
    last = known[-1]
    found = []
    if new.program != last.program:
        found.append(f"program: this installation has {last.program!r}; another program is another installation")
    if new.version <= last.version:
        found.append(f"version: {last.version} is registered; take {last.version + 1} or more")
    if new.effective_from <= last.effective_from:
        found.append(
            f"effective_from: version {last.version} is in force from {last.effective_from.isoformat()} until the next"
            " one begins; take a later instant"
        )
    if new.currency != last.currency:
        found.append(f"currency: balances are in points for {last.currency}, which cannot change")
    if new.zone.key != last.zone.key:
        found.append(f"zone: days and expiries are those of {last.zone.key}, which cannot change")
    if begun and new.allowed_lateness > max(one.allowed_lateness for one in known):
        found.append(
            "allowed_lateness: the longest of all versions counts for everything, and cannot grow once an event is"
            " decided"
        )
    for name, wallet in new.wallets.items():
        earlier = [one.wallets[name] for one in known if name in one.wallets]
        if earlier and earlier[-1].spendable != wallet.spendable:
            found.append(f"wallets.{name}.spendable: points of this wallet exist; give a new wallet another name")
    return found + _of_streaks(new, known) + _of_budgets(new, known)


def _of_streaks(new: ProgramDocument, known: Sequence[ProgramDocument]) -> list[str]:
    """A late day makes days of other versions longer, and what it brings them goes to one wallet."""
    found = []
    for index, streak in enumerate(new.streaks):
        wallets = [each.wallet for one in known for each in one.streaks if each.id == streak.id]
        if wallets and wallets[-1] != streak.wallet:
            found.append(
                f"streaks[{index}].wallet: days of {streak.id!r} count for {wallets[-1]}; give a new streak another id"
            )
    return found


def _of_budgets(new: ProgramDocument, known: Sequence[ProgramDocument]) -> list[str]:
    """What is used of a budget goes on counting, in what it was counted."""
    found = []
    for index, budget in enumerate(new.budgets):
        units = [each.unit for one in known for each in one.budgets if each.id == budget.id]
        if units and units[-1] != budget.unit:
            found.append(
                f"budgets[{index}].{budget.unit}: {budget.id!r} is counted in {units[-1]}; give a new budget another id"
            )
    return found
