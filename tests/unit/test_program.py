"""A program with an error is refused as a whole, and the message says where in the document and what to do."""

import re
from dataclasses import replace
from datetime import date
from fractions import Fraction
from pathlib import Path

import pytest

from shared.contracts.program import MAX_BYTES, ProgramDocument, ProgramError, parse_program, read_program
from shared.domain.program import AfterDays, AfterMonths, EndOfYear, Never, Pending, Rate
from shared.domain.time import rfc3339

PROGRAMS = Path(__file__).parents[2] / "programs"
GROCERY = PROGRAMS / "grocery.yaml"

VALID = """\
program: shop
version: 3
effective_from: "2026-03-01T00:00:00+08:00"
zone: Asia/Shanghai
currency: CNY
wallets:
  points: {spendable: true, expiry: {months: 12}}
  growth: {spendable: false, expiry: never}
rules:
  - id: base
    wallet: points
    rate: 1.2
  - id: growth
    wallet: growth
    rate: 1/3
    match: {channels: [app]}
    pending: {days: 7, exact: true}
"""


def edited(written: str, instead: str) -> str:
    """The valid document with one thing changed."""
    assert VALID.count(written) == 1
    return VALID.replace(written, instead)


def refusal(text: str) -> str:
    with pytest.raises(ProgramError) as caught:
        parse_program(text, "shop.yaml")
    return str(caught.value)


def rate_of(text: str) -> Fraction | None:
    return parse_program(edited("rate: 1.2", f"rate: {text}")).rules[0].rate


def test_a_valid_document_becomes_a_program() -> None:
    program = parse_program(VALID).to_domain()
    assert (program.version, program.currency, rfc3339(program.effective_from)) == (3, "CNY", "2026-02-28T16:00:00Z")
    assert [(rule.rule_id, rule.wallet, rule.earning) for rule in program.rules] == [
        ("base", "points", Rate(6, 5)),
        ("growth", "growth", Rate(1, 3)),
    ]
    assert program.rules[0].pending is None
    assert program.rules[1].pending == Pending(7, exact=True)
    assert program.rules[1].match.channels == frozenset({"app"})
    assert [(name, wallet.spendable, wallet.expiry) for name, wallet in program.wallets.items()] == [
        ("points", True, AfterMonths(12)),
        ("growth", False, Never()),
    ]


def test_what_is_left_out_has_the_defaults_of_the_semantics() -> None:
    program = parse_program(VALID).to_domain()
    second = 1_000_000
    assert program.allowed_lateness_us == 60 * second
    assert program.late_tolerance_us == 30 * 24 * 3600 * second
    assert program.future_tolerance_us == 5 * 60 * second
    assert (program.base.tax, program.base.paid_in_points) == (False, False)


def test_a_program_with_other_caps_has_forgotten_those_before() -> None:
    """What is found for a day is kept, but not for a program that is made out of this one."""
    caps = "\ncaps: [{id: daily, wallet: points, per: day, points: 9}]"
    budgets = "\nbudgets: [{id: all, wallet: points, points: 9}]"
    capped = parse_program(VALID + caps + budgets).to_domain()
    day = date(2026, 3, 10)
    assert [(cap.cap_id, key) for cap, key in capped.keyed_caps(day)] == [("daily", ("daily:day", day))]
    assert [key for key, _ in capped.keyed_budgets(day)] == [("all", "ever", None)]
    free = replace(capped, caps=(), budgets=())
    assert (free.keyed_caps(day), free.keyed_budgets(day)) == ([], [])


def test_the_program_that_ships_is_valid() -> None:
    document, text = read_program(GROCERY)
    assert document.program == "grocery"
    assert text == GROCERY.read_text(encoding="utf-8")
    assert [rule.rule_id for rule in document.to_domain().rules] == ["base", "house-brand", "growth"]


@pytest.mark.parametrize(
    ("written", "exact"),
    [
        ("1.2", Fraction(6, 5)),  # which no float is
        ("0.1", Fraction(1, 10)),
        ("6/5", Fraction(6, 5)),
        ("1 / 3", Fraction(1, 3)),
        ("2", Fraction(2)),
        ("0.000000001", Fraction(1, 10**9)),
        ("10000", Fraction(10_000)),
    ],
)
def test_a_rate_is_exact(written: str, exact: Fraction) -> None:
    assert rate_of(written) == exact


@pytest.mark.parametrize(
    "written", ["0", "-1", "1/0", "much", "", "10001", "0.0000000001", ".nan", ".inf", "[1]", "1e999999999"]
)
def test_a_rate_that_is_none_is_refused(written: str) -> None:
    assert re.search(r"rules\[0\]\.rate: ", refusal(edited("rate: 1.2", f"rate: {written}")))


@pytest.mark.parametrize(
    ("kind", "expiry"),
    [
        ("{days: 0}", AfterDays(0)),
        ("{days: 36500}", AfterDays(36_500)),
        ("{months: 1}", AfterMonths(1)),
        ("{end_of_year: 0}", EndOfYear(0)),
        ("{end_of_year: 2}", EndOfYear(2)),
        ("never", Never()),
    ],
)
def test_every_kind_of_expiry(kind: str, expiry: object) -> None:
    program = parse_program(edited("{months: 12}", kind)).to_domain()
    assert next(iter(program.wallets.values())).expiry == expiry


@pytest.mark.parametrize(
    ("written", "instead", "messages"),
    [
        pytest.param("version: 3", "versio: 3", ["versio: ", "version: Field required"], id="unknown key"),
        pytest.param("{channels: [app]}", "{chanels: [app]}", ["rules[1].match.chanels: "], id="unknown key inside"),
        pytest.param("version: 3", "version: 0", ["version: ", "greater than or equal to 1"], id="version below 1"),
        pytest.param("version: 3", "version: 1.5", ["version: "], id="version that is no integer"),
        pytest.param('00+08:00"', '00"', ["effective_from: ", "offset"], id="instant without an offset"),
        pytest.param('"2026-03-01T00:00:00+08:00"', "17", ["effective_from: "], id="a number for an instant"),
        pytest.param("2026-03-01", "2026-02-30", ["effective_from: "], id="no such day"),
        pytest.param("2026-03-01", "0001-01-01", ["effective_from: ", "the years 1900 to 2100"], id="the first year"),
        pytest.param("2026-03-01", "9999-12-31", ["effective_from: ", "the years 1900 to 2100"], id="the last year"),
        pytest.param("zone:", "rates: 1\nzone:", ["rates: there is no such field; correct its name"], id="a typo"),
        pytest.param(
            "zone:", "budgets: [all]\nzone:", ["budgets[0]: write fields with their values"], id="a bare name"
        ),
        pytest.param(
            "zone:",
            "caps: [{id: daily, wallet: points, per: fortnight, points: 9}]\nzone:",
            ["cannot be used:\n  caps[0].per: write day, week, month, campaign, ever or order"],
            id="no period",
        ),
        pytest.param("zone: Asia/Shanghai", "zone: Asia/Atlantis", ["zone: ", "'Asia/Atlantis'"], id="bad zone"),
        pytest.param("zone: Asia/Shanghai", "zone: +08:00", ["zone: ", "IANA zone"], id="offset as zone"),
        pytest.param("zone: Asia/Shanghai", "zone: ../../secret", ["zone: ", "IANA zone"], id="path as zone"),
        pytest.param("currency: CNY", "currency: RMB", ["currency: ", "'RMB'", "ISO 4217"], id="bad currency"),
        pytest.param("currency: CNY", "currency: XAU", ["currency: ", "'XAU'"], id="currency without minor unit"),
        pytest.param("id: growth", "id: base", ["rules[1].id: 'base' is used twice"], id="duplicate rule id"),
        pytest.param(
            "wallet: growth",
            "wallet: miles",
            ["rules[1].wallet: 'miles' is not one of points, growth"],
            id="unknown wallet",
        ),
        pytest.param(
            "rate: 1.2",
            "rate: 1.2\n    per_item: 5",
            ["rules[0]: give exactly one of rate, step, threshold, per_item; here are rate and per_item"],
            id="two kinds of rule",
        ),
        pytest.param(
            "rate: 1.2", "match: {}", ["rules[0]: give exactly one of", "here are none"], id="no kind of rule"
        ),
        pytest.param("rate: 1.2", "per_item: 0", ["rules[0].per_item: "], id="no points a piece"),
        pytest.param("rate: 1.2", "per_item: 1.5", ["rules[0].per_item: "], id="part of a point"),
        pytest.param("rate: 1.2", "step: {every: 0, points: 1}", ["rules[0].step.every: "], id="a step of nothing"),
        pytest.param("rate: 1.2", "step: {every: 1/3, points: 1}", ["rules[0].step.every: "], id="a third of a yuan"),
        pytest.param("rate: 1.2", "step: {every: .inf, points: 1}", ["rules[0].step.every: "], id="a step for ever"),
        pytest.param(
            "rate: 1.2", "step: {every: 1e999999999, points: 1}", ["rules[0].step.every: "], id="a billion digits"
        ),
        pytest.param("rate: 1.2", "step: {every: 2}", ["rules[0].step.points: Field required"], id="a step to nowhere"),
        pytest.param(
            "rate: 1.2",
            "step: {every: 0.001, points: 1}",
            ["rules[0].step.every: CNY has 2 decimals, and this has more"],
            id="a step of less than a minor unit",
        ),
        pytest.param(
            "rate: 1.2",
            "threshold: {from: 19.999, points: 1}",
            ["rules[0].threshold.from: CNY has 2 decimals, and this has more"],
            id="a threshold between two minor units",
        ),
        pytest.param(
            "rate: 1.2",
            'rate: 1.2\n    during: {from: "2026-05-02T00:00:00Z", until: "2026-05-02T00:00:00Z"}',
            ["rules[0].during: it ends before it starts"],
            id="a time that ends as it starts",
        ),
        pytest.param(
            "rate: 1.2", "rate: 1.2\n    group: base", ["rules[0].group: 'base' is not in groups"], id="no group"
        ),
        pytest.param("zone:", "groups: {base: best}\nzone:", ["groups.base: no rule is in it"], id="an empty group"),
        pytest.param("zone:", "groups: {base: worst}\nzone:", ["groups.base: ", "'first' or 'best'"], id="no choice"),
        pytest.param(
            "rate: 1.2",
            "rate: 1.2\n    at_least: 6\n    at_most: 5",
            ["rules[0].at_most: it is less than at_least, which is 6"],
            id="more than the most",
        ),
        pytest.param("rate: 1.2", "rate: 1.2\n    at_least: 0", ["rules[0].at_least: "], id="at least nothing"),
        pytest.param("rate: 1.2", "rate: 1.2\n    at_most: 0", ["rules[0].at_most: "], id="at most nothing"),
        pytest.param("rate: 1.2", "rate: 1.2\n    at_most: 1.5", ["rules[0].at_most: "], id="part of a point at most"),
        pytest.param(
            "rate: 1.2", "rate: 1.2\n    at_most: 1000000001", ["rules[0].at_most: "], id="a limit that is none"
        ),
        pytest.param("rate: 1.2", "rate: 1.2\n    first_order: 1st", ["rules[0].first_order: "], id="no truth"),
        pytest.param("{days: 7,", "{days: -7,", ["rules[1].pending.days: "], id="negative days"),
        pytest.param("{days: 7,", "{days: 1.5,", ["rules[1].pending.days: "], id="part of a day"),
        pytest.param(
            "{days: 7, exact: true}", "{}", ["rules[1].pending: say for how many days"], id="no end of waiting"
        ),
        pytest.param(
            "{days: 7, exact: true}",
            "{until: delivered, exact: true}",
            ["rules[1].pending: only days are exact"],
            id="an exact event",
        ),
        pytest.param("{months: 12}", "{days: -1}", ["wallets.points.expiry.days: "], id="negative expiry"),
        pytest.param("{months: 12}", "{days: 36501}", ["wallets.points.expiry.days: "], id="longer than a century"),
        pytest.param("{months: 12}", "{months: 0}", ["wallets.points.expiry.months: "], id="no month"),
        pytest.param(
            "{months: 12}",
            "{months: 1, days: 1}",
            ["wallets.points.expiry: give exactly one of days, months or end_of_year"],
            id="two expiry kinds",
        ),
        pytest.param("{months: 12}", "{}", ["wallets.points.expiry: give exactly one of"], id="no expiry kind"),
        pytest.param("{months: 12}", "sometimes", ["wallets.points.expiry: "], id="unknown expiry word"),
        pytest.param("spendable: true", "spendable: perhaps", ["wallets.points.spendable: "], id="no truth value"),
        pytest.param("channels: [app]", "channels: []", ["rules[1].match.channels: "], id="a filter of nothing"),
        pytest.param("channels: [app]", "channels: app", ["rules[1].match.channels: "], id="a word for a list"),
        pytest.param("id: base", "id: Base Rule", ["rules[0].id: "], id="bad name"),
        pytest.param("zone:", "late_tolerance: 30\nzone:", ["late_tolerance: ", "s, m, h, d"], id="no unit"),
        pytest.param("zone:", "late_tolerance: -1d\nzone:", ["late_tolerance: "], id="negative duration"),
        pytest.param("zone:", "future_tolerance: 1.5h\nzone:", ["future_tolerance: "], id="part of an hour"),
    ],
)
def test_a_wrong_thing_is_named_with_its_path(written: str, instead: str, messages: list[str]) -> None:
    refused = refusal(edited(written, instead))
    assert refused.startswith("shop.yaml cannot be used:\n")
    for message in messages:
        assert message in refused


def test_a_group_gives_points_of_one_wallet() -> None:
    text = VALID.replace("    wallet: points\n", "    wallet: points\n    group: base\n")
    text = text.replace("    wallet: growth\n", "    wallet: growth\n    group: base\n") + "groups: {base: best}\n"
    assert "rules[1].group: the rules of 'base' must give points of one wallet" in refusal(text)
    assert parse_program(text.replace("wallet: growth\n", "wallet: points\n")).to_domain().groups == {"base": "best"}


def test_limits_and_the_first_order_of_a_rule() -> None:
    text = edited("rate: 1.2", "rate: 1.2\n    at_least: 5\n    at_most: 5\n    first_order: true")
    base, growth = parse_program(text).to_domain().rules
    assert (base.at_least, base.at_most, base.first_order, base.every_order) == (5, 5, True, False)
    assert (growth.at_least, growth.at_most, growth.first_order) == (0, None, False)


def test_all_errors_are_told_at_once() -> None:
    refused = refusal(edited("zone: Asia/Shanghai", "zone: nowhere").replace("rate: 1/3", "rate: 0"))
    assert "  zone: " in refused
    assert "  rules[1].rate: " in refused


@pytest.mark.parametrize("text", ["rules: [", "\ta: 1", "a: b: c", "a: &x [*y]", "[" * 5_000])
def test_what_is_not_yaml_is_said_to_be_none(text: str) -> None:
    assert refusal(text).startswith("shop.yaml is not valid YAML: ")


@pytest.mark.parametrize("text", ["", "just text", "- a list", "1"])
def test_a_document_that_is_no_mapping_is_refused(text: str) -> None:
    assert refusal(text).startswith("shop.yaml cannot be used:\n")


def test_a_key_that_stands_twice_is_refused_with_its_line() -> None:
    refused = refusal(edited("version: 3", "version: 3\nversion: 4"))
    assert "'version' stands twice" in refused
    assert "line 3" in refused
    assert "'rate' stands twice" in refusal(edited("rate: 1.2", "rate: 1.2\n    rate: 1.3"))


def test_no_code_runs_from_a_document(tmp_path: Path) -> None:
    made = tmp_path / "made"
    text = edited("version: 3", f"version: !!python/object/apply:os.mkdir ['{made}']")
    assert "shop.yaml" in refusal(text)
    assert not made.exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    with pytest.raises(ProgramError, match=rf"{re.escape(str(path))} cannot be read: "):
        read_program(path)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "picture.yaml"
    path.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(ProgramError, match=rf"{re.escape(str(path))} cannot be read: "):
        read_program(path)


def test_a_file_that_is_too_large_is_named(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_text(VALID + "#" * (MAX_BYTES - len(VALID)), encoding="utf-8")
    assert isinstance(read_program(path)[0], ProgramDocument)
    path.write_text(VALID + "#" * (MAX_BYTES - len(VALID) + 1), encoding="utf-8")
    with pytest.raises(ProgramError, match=rf"{re.escape(str(path))} is larger than {MAX_BYTES} bytes"):
        read_program(path)


def test_a_message_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text(edited("currency: CNY", "currency: RMB"), encoding="utf-8")
    with pytest.raises(ProgramError, match=rf"{re.escape(str(path))} cannot be used:\n  currency: 'RMB'"):
        read_program(path)


@pytest.mark.parametrize("path", sorted(PROGRAMS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_program_that_ships_can_be_used(path: Path) -> None:
    document, text = read_program(path)
    assert document.program == path.stem
    assert text == path.read_text(encoding="utf-8")
