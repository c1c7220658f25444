"""Conditions in CEL: what is refused and why, what they answer, and when they are asked."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.cli.program_words import changes, explained
from shared.contracts.condition_asking import CelCondition
from shared.contracts.condition_reading import MAX_CHARS, InvalidConditionError
from shared.contracts.conditions import condition_of_behaviour, condition_of_order
from shared.contracts.program import ProgramError, parse_program
from shared.domain import behaviour as behaviours
from shared.domain.accrue import rate
from shared.domain.condition import Activation, ConditionError
from shared.domain.decide import decide
from shared.domain.facts import Behaviour, Event, EventRef, Order
from shared.domain.ids import EventId, EventSource, MemberId, OrderId
from shared.domain.member import NOBODY, KnownProfile, Profile
from shared.domain.model import Account, Outcome
from shared.domain.program import Program, Programs
from shared.domain.time import Calendar, instant_of

AT = instant_of(datetime(2026, 3, 10, 15, 30, tzinfo=UTC))
"""In Shanghai 23:30 on a Tuesday."""
SHANGHAI = Calendar(ZoneInfo("Asia/Shanghai"))
SOMEBODY = Profile("gold", (3, 10), "CN", date(2026, 3, 1), frozenset({"student", "vip"}))


def line(sku: str, paid: int, category: str | None = None) -> Any:
    amounts = dict.fromkeys(("quantity", "list_price", "discount", "tax", "paid_in_points"), 0)
    return {"line_id": sku, "sku": sku, "category": category, "brand": None, **amounts, "paid": paid}


LINES = [line("tea", 2000, "drinks"), line("bread", 500)]
ORDER = Order(OrderId("o1"), MemberId("m1"), "CNY", 2, 2600, 100, "app", None, AT, LINES, "card")


def holds(expression: str, order: Order = ORDER, profile: Profile = SOMEBODY) -> bool:
    return condition_of_order(expression).holds(Activation(order, profile, SHANGHAI))


@pytest.mark.parametrize(
    ("expression", "answer"),
    [
        ("order.paid >= 2600 && member.country == 'CN'", True),
        ('order.paid - order.shipping > 2500 || order.currency != "CNY"', False),
        ("order.channel in ['app', 'web'] && !(order.payment_method == 'cash')", True),
        ("order.store == null", True),
        ("(order).paid == 2600 && order . shipping == 100 && 'order.paid' == \"order.paid\"", True),
        ("order.store != 'north'", True),
        ("order.store in ['north']", False),
        ("order.store == null ? order.paid > 1 : order.store.startsWith('n')", True),
        ("order.store != null && order.store.startsWith('n')", False),
        ("order.store == null || order.store.startsWith('n')", True),
        ("size(order.lines) == 2 && order.lines.size() == 2", True),
        ("order.lines.exists(line, line.sku == 'tea' && line.paid >= 2000)", True),
        ("order.lines.all(line, line.category != null)", False),
        ("order.lines.exists_one(line, line.category != null && line.category.contains('rin'))", True),
        ("order.lines[0].category != null && order.lines[0].category.endsWith('s')", True),
        ("occurred_at.year == 2026 && occurred_at.month == 3 && occurred_at.day == 10", True),
        ("occurred_at.hour == 23 && occurred_at.weekday == 2", True),
        ("member.joined != null && member.joined == 9", True),
        ("member.birthday != null && member.birthday.day == occurred_at.day && member.birthday.month == 3", True),
        ("'vip' in member.tags && member.tags.exists(tag, tag.startsWith('stud'))", True),
        ("member.tier in ['gold'] && -1 < 0 && 7 / 2 * 2 + 7 % 2 == 7", True),
        ("order.channel == '应用'", False),
        ("'it\\'s' == \"it's\"", True),
    ],
)
def test_what_a_condition_answers(expression: str, answer: bool) -> None:
    assert holds(expression) is answer


def test_of_somebody_unknown_everything_is_null_and_nothing_is_a_tag() -> None:
    nulls = " && ".join(f"member.{name} == null" for name in ("country", "joined", "birthday", "tier"))
    assert holds(f"{nulls} && size(member.tags) == 0", profile=NOBODY)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("order.chanel == 'app'", "order has no 'chanel'; it has paid, shipping, currency, channel"),
        ("order.paid > 5 && false && order.chanel == 'app'", "order has no 'chanel'"),
        ("paid > 5", "'paid' is not known; there are order, occurred_at, member"),
        ("behaviour.name == 'a'", "'behaviour' is not known"),
        ("order.lines.all(l, l.size > 3)", "l has no 'size'"),
        ("order.paid.cents > 3", "order.paid is a whole number, and has no 'cents'"),
        ("order.paid >", "it ends, which is not expected there"),
        ("order.paid > 5)", "at character 15 stands )"),
        ("(order.paid > 5", "it ends where ) should be"),
        ("", "it ends"),
        ("order.paid = 5", "cannot be read from '= 5' on"),
        ("order.paid", "order.paid must be true or false, and is a whole number"),
        ("null", "the condition must be true or false, and is null"),
        ("order.paid && true", "order.paid must be true or false"),
        ("true || order.paid", "order.paid must be true or false"),
        ("order.paid ? true : false", "order.paid must be true or false"),
        ("order.paid > 1 ? 1 : 'a'", "both sides of : must be numbers, text or truths alike"),
        ("order.paid > '5'", "what stands after > must be a whole number, and is text"),
        ("order.paid == '5'", "a whole number and text cannot be compared with =="),
        ("order.lines == order.lines", "a list and a list cannot be compared"),
        ("order.paid == null", "order.paid is never null"),
        ("order.paid > 1.5", "numbers are whole"),
        ("order.paid > 1u", "numbers are whole"),
        ("order.paid > 9223372036854775808", "it is no CEL"),
        ("order.channel.startsWith('a')", "order.channel may be null, and the condition must say what it does then"),
        ("order.channel != null || order.channel.startsWith('a')", "order.channel may be null"),
        ("order.channel == null && order.channel.startsWith('a')", "order.channel may be null"),
        ("order.channel != null && order.store.startsWith('a')", "order.store may be null"),
        ("order.lines[0].brand != null && order.lines[1].brand.contains('a')", "order.lines[1].brand may be null"),
        ("member.joined > 365", "write member.joined != null && … before it, or member.joined == null || …"),
        ("member.birthday.month == 3", "member.birthday may be null"),
        ("has(order.channel)", "has: every field is there, and may be null"),
        ("order.currency.matches('C.*')", "matches: patterns are not for conditions"),
        ("order.lines.map(l, l.paid) == [1]", "map: it makes another list"),
        ("size(order.lines.filter(l, l.paid > 1)) > 1", "filter: it makes another list"),
        ("size(order.currency) == 3", "order.currency must be a list, and is text"),
        ("max(1, 2) == 2", "max: there is no such function; there are startsWith"),
        ("order.currency + 'x' == 'CNYx'", "order.currency must be a whole number, and is text"),
        ("'a' in [order.currency]", "write them out"),
        ("1 in [1, 'a']", "not of both"),
        ("1 in []", "an empty list"),
        ("1 in member.tags", "a whole number cannot be in a list whose items are text"),
        ("order.lines.exists(order, true)", "'order' has a meaning already"),
        ("order.lines.exists(order__paid, true)", "'order__paid' has a meaning already"),
        ("order.lines.exists(1, true)", "at character 20 stands 1"),
        ("!!true", "!!: once is enough"),
        ("r'a' == 'a'", "r'a': write text in single or double quotes"),
        ("'a\\n' == 'a'", "cannot be read"),
        ("[1, 2][order.paid] == 2", "index out of bounds"),
        ("order.paid / order.shipping > 2", "it has no answer for an order of one line for which nothing was paid"),
        ("order.lines[1].paid > 5", "index out of bounds: 1; say first when it applies"),
        ("order.lines[-1].paid > 5", "index out of bounds"),
        ("order.lines[1 - 0].brand != null && order.lines[1].brand.contains('a')", "order.lines[1].brand may be null"),
    ],
)
def test_what_has_no_sure_answer_is_refused(expression: str, message: str) -> None:
    with pytest.raises(InvalidConditionError) as caught:
        condition_of_order(expression)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("order.paid > 1".ljust(MAX_CHARS + 1), "it has 1,001 characters, and at most 1,000 will do"),
        ("(" * 20 + "true" + ")" * 20, "nested more than 20 deep"),
        ("order.lines.all(a, order.lines.all(b, a.paid == b.paid))", "at most 20,000 will do"),
        ("order.lines.all(l, 'vip' in member.tags)", "it may take 82,402 steps for the largest order"),
        (" || ".join(["order.lines.exists(l, l.paid == 1)"] * 5), "at most 20,000 will do"),
        (" || ".join(f"order.lines.exists(l, l.{name} == 1)" for name in ("paid", "tax", "discount")), "20,000"),
    ],
)
def test_a_condition_is_bounded(expression: str, message: str) -> None:
    with pytest.raises(InvalidConditionError) as caught:
        condition_of_order(expression)
    assert message in str(caught.value)


def test_the_longest_chains_are_read() -> None:
    assert holds(" || ".join(["order.paid<0"] * 62 + ["true"]))
    assert holds(" + ".join(["1"] * 240) + " == 240")


def test_the_condition_of_a_behaviour_asks_about_it() -> None:
    condition = condition_of_behaviour("behaviour.subject != null && behaviour.subject.startsWith('m')")
    shared = Behaviour(MemberId("m1"), "share", None, "m2", AT)
    assert condition.holds(Activation(shared, NOBODY, SHANGHAI))
    assert not condition.holds(Activation(replace(shared, subject=None), NOBODY, SHANGHAI))
    with pytest.raises(InvalidConditionError, match="'order' is not known; there are behaviour, occurred_at, member"):
        condition_of_behaviour("order.paid > 1")


def test_what_only_happens_later_is_an_error_of_its_own() -> None:
    condition = condition_of_order("order.paid * order.paid > 1")
    with pytest.raises(ConditionError, match="overflow"):
        condition.holds(Activation(replace(ORDER, paid=10**12), NOBODY, SHANGHAI))


PROGRAM = """\
program: shop
version: 1
effective_from: "2026-01-01T00:00:00+08:00"
zone: Asia/Shanghai
currency: CNY
wallets:
  points: {spendable: true, expiry: never}
rules:
  - {id: base, wallet: points, rate: 1}
  - {id: squared, wallet: points, rate: 1, when: "order.paid * order.paid > 1"}
"""
MULTIPLIED = PROGRAM.replace(", when:", "}\nmultipliers:\n  - {id: more, factor: 2, when:")
BEHAVIOURS = """\
behaviours:
  - {id: share, behaviour: share, wallet: points, points: 1, when: "member.country == 'CN'"}
"""


def program(text: str = PROGRAM) -> Program:
    return parse_program(text).to_domain()


@pytest.mark.parametrize("written", ["order.pad > 1", "order.paid", "order.paid >"])
def test_a_refusal_names_the_path(written: str) -> None:
    for text, path in ((PROGRAM, "rules[1].when"), (MULTIPLIED, "multipliers[0].when")):
        with pytest.raises(ProgramError) as caught:
            parse_program(text.replace("order.paid * order.paid > 1", written))
        assert f"{path}: " in str(caught.value)
    with pytest.raises(ProgramError, match=r"behaviours\[0\]\.when: 'order' is not known"):
        parse_program(PROGRAM + BEHAVIOURS.replace("member.country == 'CN'", "order.paid > 1"))
    with pytest.raises(ProgramError, match=r"rules\[1\]\.when: write the condition as text"):
        parse_program(PROGRAM.replace('"order.paid * order.paid > 1"', "[order.paid]"))


def test_all_conditions_together_are_bounded() -> None:
    rule = "  - {id: tea-%d, wallet: points, rate: 1, when: \"order.lines.exists(l, l.sku == 'tea' && l.paid > 9)\"}\n"
    parse_program(PROGRAM + "".join(rule % number for number in range(7)))
    with pytest.raises(ProgramError, match=r"rules\[9\]\.when: with this one, the conditions may take 112,023 steps"):
        parse_program(PROGRAM + "".join(rule % number for number in range(9)))


def test_conditions_are_equal_when_they_are_written_alike() -> None:
    one, same = condition_of_order("order.paid > 1"), condition_of_order("order.paid > 1")
    assert one == same
    assert hash(one) == hash(same)
    assert one != condition_of_order("order.paid > 2")
    assert parse_program(PROGRAM).rules == parse_program(PROGRAM).rules
    assert program().rules == program().rules
    assert program().rules != program(PROGRAM.replace("> 1", "> 2")).rules
    assert hash(program().rules[1]) == hash(program().rules[1])


def test_rules_with_different_conditions_count_alike() -> None:
    assert [like for _, like, _ in program().alike] == [0, 0]


def test_who_the_member_is_is_asked_only_where_a_condition_does() -> None:
    share = Behaviour(MemberId("m1"), "share", None, None, AT)
    assert not Programs([program()]).ask_who
    assert not Programs([program(MULTIPLIED)]).ask_who
    for text in (PROGRAM, MULTIPLIED):
        assert Programs([program(text.replace("> 1", "> 1 && 'vip' in member.tags"))]).ask_who
    assert not Programs([program(PROGRAM + BEHAVIOURS)]).ask_who
    assert behaviours.asks_who(share, program(PROGRAM + BEHAVIOURS))
    assert not behaviours.asks_who(share, program(PROGRAM + BEHAVIOURS.replace("member.country", "behaviour.name")))


@dataclass(frozen=True)
class Counted:
    """A condition that counts how often it is asked."""

    asked: list[Activation]
    expression: str
    asks_who: bool = False

    def holds(self, activation: Activation) -> bool:
        self.asked.append(activation)
        return True


def test_a_condition_is_asked_last_and_about_one_activation() -> None:
    text = PROGRAM.replace("rate: 1, when", "rate: 1, match: {channels: [app]}, when")
    by, asked = program(text), list[Activation]()
    rules = (by.rules[0], *(replace(by.rules[1], rule_id=name, when=Counted(asked, name)) for name in ("a", "b")))
    by = replace(by, rules=rules)
    programs = Programs([by])
    event = Event(EventRef(EventSource("s"), EventId("e"), "t"), AT, replace(ORDER, channel="web"))
    assert decide(Account(MemberId("m1")), event, programs).outcome is Outcome.POSTED
    assert not asked
    decide(Account(MemberId("m1")), replace(event, fact=ORDER), programs)
    assert len(asked) == 2
    assert asked[0] is asked[1]
    assert asked[0].meets(Counted(asked, "a"))
    assert len(asked) == 2, "what is written alike is asked once"


def test_what_a_condition_mentions_is_made_once() -> None:
    one, other = condition_of_order("order.paid > 1"), condition_of_order("order.paid > 2")
    about = Activation(ORDER, NOBODY, SHANGHAI)
    assert one.holds(about)
    (made,) = about.made.values()
    assert other.holds(about)
    assert list(about.made.values()) == [made]


@pytest.mark.parametrize("text", [PROGRAM, MULTIPLIED])
@pytest.mark.parametrize(
    ("paid", "outcome"), [(500, Outcome.POSTED), (10**11, Outcome.CONDITION_FAILED), (0, Outcome.NOTHING_EARNED)]
)
def test_a_failing_condition_is_the_outcome_and_the_rest_is_given(text: str, paid: int, outcome: Outcome) -> None:
    order = replace(ORDER, paid=paid, shipping=0, lines=[line("tea", paid)])
    event = Event(EventRef(EventSource("s"), EventId("e"), "t"), AT, order)
    decision = decide(Account(MemberId("m1")), event, Programs([program(text)]))
    assert decision.outcome is outcome
    assert decision.outcome.moves_points == bool(decision.postings)
    assert decision.order is not None
    given = sum(movement.amount for posting in decision.postings for movement in posting.movements)
    rules = 2 if text is MULTIPLIED else 1
    assert given == paid // 100 * rules * (2 if outcome is Outcome.POSTED else 1)


def test_a_failing_condition_of_a_behaviour_leaves_its_times_alone() -> None:
    text = BEHAVIOURS.replace("points: 1,", "points: 1, times: {once: true},").replace(
        "member.country == 'CN'", "member.joined == null || 6 / (member.joined - 2) > 0"
    )
    programs = Programs([program(PROGRAM + text)])
    share = Behaviour(MemberId("m1"), "share", None, None, AT)
    event = Event(EventRef(EventSource("s"), EventId("e"), "t"), AT, share)
    account = Account(MemberId("m1"), profiles=(KnownProfile(1, AT, Profile(joined=date(2026, 3, 8))),))
    decision = decide(account, event, programs)
    assert decision.outcome is Outcome.CONDITION_FAILED_NOTHING_MOVED
    assert not decision.tallies
    decision = decide(replace(decision.account, profiles=()), event, programs)
    assert decision.outcome is Outcome.POSTED
    other = text + "  - {id: always, behaviour: share, wallet: points, points: 2}\n"
    assert decide(account, event, Programs([program(PROGRAM + other)])).outcome is Outcome.CONDITION_FAILED


def test_without_an_activation_no_condition_holds() -> None:
    assert [rule.rule_id for rule, _ in rate(ORDER, program())[1]] == ["base"]


def test_conditions_in_words() -> None:
    old = parse_program(PROGRAM + BEHAVIOURS)
    new = parse_program((PROGRAM + BEHAVIOURS).replace("> 1", ">  2"))
    assert explained(old)["earning"][1] == (
        "squared: 1 point for every CNY, when order.paid * order.paid > 1, into points."
    )
    assert changes(old, new)["earning"] == [
        (
            "squared becomes: 1 point for every CNY, when order.paid * order.paid > 2, into points. Until then: 1 point"
            " for every CNY, when order.paid * order.paid > 1, into points; orders that were paid before keep what they"
            " earned."
        )
    ]
    multiplied = explained(parse_program(MULTIPLIED))["multipliers"]
    assert multiplied == ["more: 2 times what base and squared would give, when order.paid * order.paid > 1."]


def test_a_condition_shows_how_it_is_written() -> None:
    condition = condition_of_order("order.paid > 1")
    assert isinstance(condition, CelCondition)
    assert repr(condition) == "CelCondition(expression='order.paid > 1')"
