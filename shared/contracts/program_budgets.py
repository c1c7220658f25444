"""What a program document says of budgets."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from shared.contracts.money import EXPONENTS
from shared.contracts.program_fields import Money, Name, Part
from shared.contracts.program_filters import WindowDocument
from shared.contracts.program_wallets import WalletDocument
from shared.domain.ids import BudgetId, RuleId
from shared.domain.program_budgets import MONEY_SCALE, Budget, BudgetUnit
from shared.domain.program_caps import Excess
from shared.domain.tally import Period

MAX_BUDGETS = 20
"""Every event that earns is held against all of them, and each is leased for itself."""

MAX_BUDGET_POINTS = 10**15
"""Beyond what all members of the largest programs were ever given."""


Paying = Mapping[str, frozenset[str]]
"""All that budgets can pay, by its id, with the wallets whose points it gives."""


class BudgetDocument(Part):
    """What some rules may give all members together, in points or in money."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["points"]}, {"required": ["money"]}]},
    )

    id: Name
    """What the ledger calls the budget. Versions that keep it go on with what is used of it."""
    points: Annotated[int, Field(ge=1, le=MAX_BUDGET_POINTS)] | None = None
    """How many points there are in all; or give `money`."""
    money: Money | None = None
    """What the points may cost, in units of the currency: each costs the `point_cost` of its wallet."""
    per: Period = Period.EVER
    """In all (`ever`), or anew each `day`, `week` (from Monday on) or `month`, or for the `campaign` (the time in
    `during`). What happens counts in the period in which it happened."""
    rules: Annotated[list[Name], Field(min_length=1)] | None = None
    """The rules, behaviours, streaks, tasks and referrals that it pays, together; or give `wallet`. All that give
    points when both are left out."""
    wallet: Name | None = None
    """It pays all that give points of this wallet, and of no other."""
    excess: Excess = Excess.TRIM
    """What is beyond it: `trim` gives what is left, `skip` passes over a rule whose points are more than that."""
    during: WindowDocument | None = None
    """When it pays; always when this is left out. Outside of it, rules give their points without it."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if (self.points is None) == (self.money is None):
            raise ValueError("give either points or money")
        if self.rules is not None and self.wallet is not None:
            raise ValueError("give either rules, or the wallet whose points it pays")
        if self.per is Period.CAMPAIGN and self.during is None:
            raise ValueError("what is counted per campaign needs the campaign's time; give it with during")
        return self

    @property
    def unit(self) -> BudgetUnit:
        """In what it is counted."""
        return BudgetUnit.POINTS if self.money is None else BudgetUnit.MONEY

    def size(self, currency: str) -> int:
        """How many units it has."""
        if self.money is None:
            return self.points or 0
        return int(self.money * 10 ** EXPONENTS[currency] * MONEY_SCALE)

    def pays(self, paying: Paying) -> list[str]:
        """What it pays of all that budgets can pay."""
        if self.rules is not None:
            return self.rules
        return [name for name, wallets in paying.items() if self.wallet is None or wallets == {self.wallet}]

    def to_domain(self, paying: Paying, wallets: Mapping[str, WalletDocument], currency: str) -> Budget:
        """The budget, with what a point costs by what gives it."""
        costs = {RuleId(name): 1 for name in self.pays(paying)}
        if self.money is not None:
            # The wallets of one referral cost the same, as was checked.
            costs = {rule: int(_point_cost(wallets[min(paying[rule])], currency)) for rule in costs}
        return Budget(
            budget_id=BudgetId(self.id),
            costs=costs,
            unit=self.unit,
            size=self.size(currency),
            per=self.per,
            excess=self.excess,
            during=None if self.during is None else self.during.to_domain(),
        )


def _point_cost(wallet: WalletDocument, currency: str) -> Fraction:
    """What a point costs, in millionths of a minor unit."""
    scale: int = 10 ** EXPONENTS[currency] * MONEY_SCALE
    return (wallet.point_cost or Fraction(0)) * scale


def check_budgets(
    budgets: Sequence[BudgetDocument],
    paying: Paying,
    wallets: Mapping[str, WalletDocument],
    currency: str,
) -> None:
    """Each pays something that gives points, and points that have a cost if it is money.

    Raises `ValueError` with the path of the first that does not.
    """
    for name, wallet in wallets.items():
        if _point_cost(wallet, currency).denominator != 1:
            raise ValueError(
                f"wallets.{name}.point_cost: it is a whole number of millionths of the smallest coin of {currency};"
                " round it to that"
            )
    for index, budget in enumerate(budgets):
        path = f"budgets[{index}]"
        if budget.wallet is not None and budget.wallet not in wallets:
            raise ValueError(f"{path}.wallet: {budget.wallet!r} is not one of {', '.join(wallets)}")
        for number, rule in enumerate(budget.rules or ()):
            if rule not in paying:
                raise ValueError(
                    f"{path}.rules[{number}]: {rule!r} is no rule, behaviour, streak, task or referral that gives"
                    " points"
                )
        if not budget.pays(paying):
            raise ValueError(f"{path}.wallet: nothing gives points of {budget.wallet!r}; leave the budget out")
        if budget.money is not None:
            _check_money(path, budget.money, [paying[name] for name in budget.pays(paying)], wallets, currency)


def _check_money(
    path: str, money: Money, paid: Sequence[frozenset[str]], wallets: Mapping[str, WalletDocument], currency: str
) -> None:
    """Money has as many decimals as the currency, and the points that it pays have a cost."""
    digits = EXPONENTS[currency]
    if (money * 10**digits).denominator != 1:
        raise ValueError(f"{path}.money: {currency} has {digits} decimals, and this has more")
    for wallet in sorted(frozenset().union(*paid)):
        if wallets[wallet].point_cost is None:
            raise ValueError(
                f"{path}.money: say in wallets.{wallet}.point_cost what a point of it costs, or name in rules what the"
                " budget pays"
            )
    for together in paid:
        if len({wallets[wallet].point_cost for wallet in together}) > 1:
            raise ValueError(
                f"{path}.money: a referral gives points of {' and '.join(sorted(together))}, which cost differently;"
                " count it in points, or name in rules what the budget pays"
            )
