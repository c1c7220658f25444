"""The multipliers of a program document: what the core gets of them, and what is refused with its path."""

import pytest

from shared.contracts.fields import MAX_NAME_CHARS
from shared.contracts.program import MAX_MULTIPLIERS, parse_program
from shared.domain.filters import Birthday, DaysOfMonth, Weekdays
from shared.domain.multiplier import ByTier, Factor, Stacking
from shared.domain.time import rfc3339
from tests.unit.test_program import VALID, refusal

MULTIPLIED = (
    VALID
    + """\
tiers: [{id: silver}, {id: gold}]
stacking: multiplicative
multipliers:
  - {id: birthday, factor: 2, days: birthday}
  - {id: tier, by_tier: {silver: 1.2, gold: 3/2}, rules: [base]}
  - {id: member-day, factor: 3, days: {days_of_month: [8, 18, 28]}, match: {channels: [app], payment_methods: [card]}}
  - id: double-eleven
    factor: 2.5
    days: {weekdays: [tuesday, sunday]}
    during: {from: "2026-11-11T00:00:00+08:00", until: "2026-11-12T00:00:00+08:00"}
"""
)


def test_multipliers_become_those_of_the_core_the_ones_by_tier_first() -> None:
    program = parse_program(MULTIPLIED).to_domain()
    tier, birthday, day, eleven = program.multipliers
    assert program.stacking is Stacking.MULTIPLICATIVE
    assert (tier.multiplier_id, tier.factor) == ("tier", ByTier({"silver": Factor(6, 5), "gold": Factor(3, 2)}))
    assert (tier.rules, birthday.rules) == ({"base"}, {"base", "growth"})
    assert (birthday.factor, birthday.days, birthday.during) == (Factor(2, 1), Birthday(), None)
    assert (day.days, day.match.channels, day.match.payment_methods) == (
        DaysOfMonth(frozenset({8, 18, 28})),
        {"app"},
        {"card"},
    )
    assert (eleven.factor, eleven.days) == (Factor(5, 2), Weekdays(frozenset({1, 6})))
    assert eleven.during is not None
    assert rfc3339(eleven.during.ends_at) == "2026-11-11T16:00:00Z"
    assert parse_program(VALID).to_domain().multipliers == ()


def test_a_multiplier_has_the_rules_with_a_rate_or_a_step_unless_it_names_others() -> None:
    text = MULTIPLIED.replace("rate: 1/3", "per_item: 1").replace("rules: [base]", "rules: [growth]")
    tier, birthday, *_ = parse_program(text).to_domain().multipliers
    assert (tier.rules, birthday.rules) == ({"growth"}, {"base"})


@pytest.mark.parametrize(
    ("written", "instead", "messages"),
    [
        pytest.param("id: tier", "id: base", ["multipliers[1].id: 'base' is used twice"], id="the id of a rule"),
        pytest.param("id: tier", "id: birthday", ["multipliers[1].id: 'birthday' is used twice"], id="duplicate id"),
        pytest.param("id: tier", "id: base/tier", ["multipliers[1].id: "], id="an id with a slash"),
        pytest.param("id: tier", "id: " + "t" * 64, ["multipliers[1].id: "], id="an id too long behind a rule's"),
        pytest.param("id: base", "id: base/tier", ["rules[0].id: "], id="a rule's id with a slash"),
        pytest.param(
            "rules: [base]",
            "rules: [base, bass]",
            ["multipliers[1].rules[1]: 'bass' is not one of base, growth"],
            id="unknown rule",
        ),
        pytest.param("rules: [base]", "rules: []", ["multipliers[1].rules: "], id="no rules"),
        pytest.param("{silver: 1.2, gold: 3/2}", "{}", ["multipliers[1].by_tier: "], id="no tier"),
        pytest.param(
            "gold: 3/2", "gold: 0.5", ["multipliers[1].by_tier.gold: a factor is at least 1"], id="less by tier"
        ),
        pytest.param(
            "gold: 3/2",
            "golden: 3/2",
            ["multipliers[1].by_tier.golden: 'golden' is not one of silver, gold; add it there"],
            id="unknown tier",
        ),
        pytest.param(
            "tiers: [{id: silver}, {id: gold}]\n",
            "",
            ["multipliers[1].by_tier.silver: 'silver' is not listed in tiers"],
            id="no tiers",
        ),
        pytest.param("{id: gold}]", "{id: silver}]", ["tiers: 'silver' stands twice"], id="a tier twice"),
        pytest.param("gold: 3/2", "Gold Card: 3/2", ["multipliers[1].by_tier.Gold Card"], id="no name of a tier"),
        pytest.param(
            "factor: 2.5",
            "factor: 100.000000001",
            ["multipliers[3].factor: a factor is at least 1, at most 100"],
            id="much",
        ),
        pytest.param("factor: 2.5", "factor: 0.99", ["multipliers[3].factor: a factor is at least 1"], id="less"),
        pytest.param("factor: 2.5", "factor: 1.0000000001", ["multipliers[3].factor: "], id="ten decimals"),
        pytest.param("factor: 2.5", "factor: 1e9", ["multipliers[3].factor: write the factor as"], id="an exponent"),
        pytest.param(
            "factor: 2.5", "factor: 1/0", ["multipliers[3].factor: write the factor as"], id="a half of nothing"
        ),
        pytest.param(
            "    factor: 2.5\n", "", ["multipliers[3]: give exactly one of factor and by_tier"], id="no factor"
        ),
        pytest.param(
            "factor: 2.5",
            "factor: 2.5\n    by_tier: {gold: 2}",
            ["multipliers[3]: give exactly one of factor and by_tier"],
            id="two factors",
        ),
        pytest.param(
            "days: birthday", "days: birthdays", ["multipliers[0].days: write birthday, or one of"], id="another word"
        ),
        pytest.param("days: birthday", "days: {}", ["multipliers[0].days: give exactly one of"], id="no day"),
        pytest.param("days: birthday", "days: [8]", ["multipliers[0].days: "], id="a list for days"),
        pytest.param(
            "days: birthday", "days: {birthday: true}", ["multipliers[0].days.birthday: "], id="a key for the word"
        ),
        pytest.param("[8, 18, 28]", "[8, 32]", ["multipliers[2].days.days_of_month[1]: "], id="the 32nd"),
        pytest.param("[8, 18, 28]", "[0]", ["multipliers[2].days.days_of_month[0]: "], id="the 0th"),
        pytest.param("[8, 18, 28]", "[]", ["multipliers[2].days.days_of_month: "], id="no days of the month"),
        pytest.param(
            "[8, 18, 28]}",
            "[8], weekdays: [monday]}",
            ["multipliers[2].days: give exactly one of"],
            id="two kinds of day",
        ),
        pytest.param(
            "[tuesday, sunday]", "[tuesday, Sun]", ["multipliers[3].days.weekdays[1]: "], id="no day of the week"
        ),
        pytest.param("2026-11-12", "2026-11-11", ["multipliers[3].during: it ends before it starts"], id="no time"),
        pytest.param(
            "match: {channels: [app], payment_methods: [card]}",
            "match: {channels: [app], brands: [A], exclude_skus: [B]}",
            ["multipliers[2].match: brands and exclude_skus: a multiplier looks at whole orders, by channels,"],
            id="a match of lines",
        ),
        pytest.param(
            "match: {channels: [app], payment_methods: [card]}",
            "match: {colours: [red]}",
            ["multipliers[2].match.colours: there is no such field; correct its name, or leave it out"],
            id="a match of nothing",
        ),
        pytest.param(
            "payment_methods: [card]", "payment_methods: []", ["multipliers[2].match.payment_methods: "], id="none"
        ),
        pytest.param(
            "multiplicative", "exponential", ["stacking: ", "'additive' or 'multiplicative'"], id="no stacking"
        ),
    ],
)
def test_a_wrong_multiplier_is_named_with_its_path(written: str, instead: str, messages: list[str]) -> None:
    assert MULTIPLIED.count(written) == 1
    refused = refusal(MULTIPLIED.replace(written, instead))
    for message in messages:
        assert message in refused


def test_a_multiplier_must_have_something_to_multiply() -> None:
    text = MULTIPLIED.replace("rate: 1.2", "per_item: 1").replace("rate: 1/3", "per_item: 1")
    assert "multipliers[0]: no rule has a rate or a step; name in rules what it multiplies" in refusal(text)


def test_empty_and_endless_multipliers_are_refused() -> None:
    assert "multipliers: " in refusal(VALID + "multipliers: []\n")
    written = [f"  - {{id: m{number}, factor: 2}}\n" for number in range(MAX_MULTIPLIERS + 1)]
    too_many, most = (VALID + "multipliers:\n" + "".join(lines) for lines in (written, written[1:]))
    assert "multipliers: " in refusal(too_many)
    assert len(parse_program(most).multipliers) == MAX_MULTIPLIERS


def test_the_name_of_a_part_fits_into_the_contract() -> None:
    long = VALID.replace("id: base", f"id: {'r' * 64}") + f"multipliers:\n  - {{id: {'m' * 63}, factor: 2}}\n"
    names = [part.rule_id for part in parse_program(long).to_domain().parts.values()]
    assert max(map(len, names)) == MAX_NAME_CHARS
