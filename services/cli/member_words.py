"""What a program says beside its rules for orders, in words: caps, budgets, behaviours, check-ins, tasks, refunds."""

from services.cli.wording import count, duration, listed, ordinal
from shared.contracts.money import minor_units, money
from shared.contracts.program import ProgramDocument
from shared.contracts.program_behaviours import BehaviourDocument, StreakDocument, TaskDocument, TimesDocument
from shared.contracts.program_budgets import BudgetDocument
from shared.contracts.program_caps import CapDocument
from shared.contracts.program_filters import WindowDocument
from shared.contracts.program_referrals import ReferralDocument, WindowPendingDocument
from shared.domain.program import OnRefund, Shortfall
from shared.domain.program_behaviours import Floor, Reference
from shared.domain.program_caps import Excess
from shared.domain.streak import AfterLast
from shared.domain.tally import Period

_PER = {
    Period.DAY: "a day",
    Period.WEEK: "a week, from Monday on",
    Period.MONTH: "a month",
    Period.CAMPAIGN: "in the campaign",
    Period.EVER: "ever",
}

_SHORTFALL = {
    Shortfall.DEBT: "are owed, and repaid by the next points that become available",
    Shortfall.CLIP: "are written off",
    Shortfall.CASH_OFFSET: "are told to the shop, which keeps their worth",
}

_EXCESS = {
    Excess.TRIM: "what is beyond is not given",
    Excess.SKIP: "what does not fit is not given at all",
}

_ON_REFUND = {
    OnRefund.RECOMPUTE: "is taken back as soon as what remains is below its amount",
    OnRefund.PRORATA: "is taken back in proportion",
    OnRefund.KEEP: "stays while at least half of what it counted remains",
}


def caps(document: ProgramDocument) -> dict[str, str]:
    """What each cap holds down, by its id."""
    return {cap.id: _cap(cap, document.capped_by(cap)) for cap in document.caps}


def budgets(document: ProgramDocument) -> dict[str, str]:
    """What each budget pays, by its id."""
    paying = document.paying()
    return {each.id: _budget(each, each.pays(paying), document.currency) for each in document.budgets}


def behaviours(document: ProgramDocument) -> dict[str, str]:
    """What each behaviour gives or takes, by the rule's id."""
    return {rule.id: _behaviour(rule) for rule in document.behaviours}


def streaks(document: ProgramDocument) -> dict[str, str]:
    """What check-ins give, by the streak's id."""
    return {streak.id: _streak(streak) for streak in document.streaks}


def tasks(document: ProgramDocument) -> dict[str, str]:
    """What tasks give, by their ids."""
    return {task.id: _task(task) for task in document.tasks}


def referrals(document: ProgramDocument) -> dict[str, str]:
    """What an invitation gives to both sides, by the id of the referral."""
    return {referral.id: _referral(referral, document.currency) for referral in document.referrals}


def refunds(document: ProgramDocument) -> list[str]:
    """What becomes of the points of what is given back."""
    spent = _SHORTFALL[document.refunds.shortfall]
    said = [
        f"What is given back takes its points back; those that the member has spent {spent}.",
        f"A refund whose order does not come within {duration(document.refunds.wait)} is an orphan.",
    ]
    for rule in document.rules:
        if rule.threshold is not None:
            said.append(f"What {rule.id} gave {_ON_REFUND[rule.threshold.on_refund]}.")
    return said


def _cap(cap: CapDocument, rules: list[str]) -> str:
    per = _PER[cap.per] if isinstance(cap.per, Period) else "an order"
    most = count(cap.points, "point")
    return f"{listed(rules)} give a member at most {most} {per}{_during(cap.during)}; {_EXCESS[cap.excess]}"


def _budget(budget: BudgetDocument, rules: list[str], currency: str) -> str:
    size = count(budget.points or 0, "point")
    if budget.money is not None:
        size = money(minor_units(budget.money, currency), currency)
    per = "" if budget.per is Period.EVER else f" {_PER[budget.per]}"
    when = f"{per}{_during(budget.during)}"
    return f"{listed(rules)} give all members together at most {size}{when}; {_EXCESS[budget.excess]}"


def _behaviour(rule: BehaviourDocument) -> str:
    verb = "gives" if rule.points > 0 else "takes"
    said = f"{rule.behaviour} {verb} {count(abs(rule.points), 'point')} of {rule.wallet}"
    if rule.points < 0:
        said += ", the rest is owed" if rule.floor is Floor.DEBT else ", as far as they are there"
    if rule.times is not None:
        said += f", {_times(rule.times)}"
    if rule.once_for is not None:
        said += ", once for each order" if rule.once_for is Reference.ORDER else ", once for each subject"
    return said + _during(rule.during)


def _streak(streak: StreakDocument) -> str:
    policy = streak.to_domain()
    days = listed([f"{points:,}" for points in policy.rewards])
    after = "the last one repeats" if policy.after_last is AfterLast.REPEAT else "then from the beginning"
    said = f"check-ins on days that follow each other give {days} of {policy.wallet}, {after}"
    if policy.every is not None:
        said += f"; every {ordinal(policy.every.days)} day gives {policy.every.factor} times as much"
    if policy.makeup_days == 0:
        return f"{said}; a missed day cannot be made up for"
    return f"{said}; a missed day may be made up for within {count(policy.makeup_days, 'day')}"


def _task(task: TaskDocument) -> str:
    policy = task.to_domain()
    steps = listed([f"{step.behaviour} ({step.points:,})" for step in policy.steps])
    said = f"{steps}{', in this order,' if policy.in_order else ''} give points of {policy.wallet} once each"
    if policy.bonus:
        said += f", and {policy.bonus:,} more when all are done"
    return said if policy.within_us is None else f"{said}, within {duration(policy.within_us)}"


def _referral(referral: ReferralDocument, currency: str) -> str:
    sides = {"inviter": "the inviter", "invited": "the invited member"}
    gets = [
        f"{sides[side]} gets {count(reward.points, 'point')} of {reward.wallet}"
        for side, reward in referral.rewards.items()
    ]
    said = f"after {referral.behaviour}, {listed(gets)} for the first order of the invited member"
    if (amount := referral.money()) is not None:
        said += f" from {money(minor_units(amount, currency), currency)} on"
    if referral.pending is not None:
        said += f", pending {_window(referral.pending)}"
    if referral.times is not None:
        said += f"; an inviter {_times(referral.times)}"
    return said + _during(referral.during)


def _window(pending: WindowPendingDocument) -> str:
    if pending.exact:
        return f"for {pending.days * 24} hours"
    return f"through the {ordinal(pending.days)} day after the payment"


def _times(times: TimesDocument) -> str:
    said = "once" if times.once else f"at most {count(times.at_most or 1, 'time')}"
    return said if times.per is None else f"{said} {_PER[times.per]}"


def _during(window: WindowDocument | None) -> str:
    return "" if window is None else f", from {window.from_.isoformat()} until {window.until.isoformat()}"
