"""How conditions are read: a part of CEL whose types, names, nulls and cost are known before anything happens.

The library evaluates CEL, but tells nothing of an expression beforehand: `paid > 5 && chanel == 'app'` would be found
wrong only by the first order of more than 5. So each expression is first read here, and refused unless it is sure to
have an answer, but for whole numbers that overflow, a division by zero and an index beyond the end.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

MAX_CHARS = 1000
"""A condition is read by people."""
MAX_DEPTH = 20
"""How deep it may be nested."""
MAX_STEPS = 20_000
"""What it may take, for the largest order and the member with the most tags: some 5 ms, at 0.25 µs a step."""

CALL_STEPS = 4
"""What a function takes."""
ITEM_STEPS = 2
"""What it takes to look at a list, for each item."""
MADE_STEPS = 8
"""What it takes to hand over an item of a list."""
FIELD_STEPS = 5
"""And each field of it."""


class Base(StrEnum):
    """What a value is, as messages call it."""

    NUMBER = "a whole number"
    TEXT = "text"
    TRUTH = "true or false"
    NULL = "null"
    LIST = "a list"
    RECORD = "a record"


class InvalidConditionError(ValueError):
    """A condition that cannot be used. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Type:
    """What values an expression may have. Lists have items, `most` of them; records have fields."""

    base: Base
    nullable: bool = False
    item: "Type | None" = None
    most: int = 0
    fields: Mapping[str, "Type"] = field(default_factory=dict)


NUMBER, TEXT, TRUTH, NULL = Type(Base.NUMBER), Type(Base.TEXT), Type(Base.TRUTH), Type(Base.NULL)

Paths = frozenset[str]
NONE: Paths = frozenset()


class Term(NamedTuple):
    """What is known of a part of an expression.

    `path` is how it is called where it has a name, `place` what that stands for; `if_true` and `if_false` are the paths
    that cannot be null where it is so. `variable` is the number of its token where it is a variable.
    """

    type: Type
    path: str | None = None
    place: str = ""
    if_true: Paths = NONE
    if_false: Paths = NONE
    variable: int | None = None


JOINED = "__"
"""What joins a variable and its field where they are one name."""


class Reading(NamedTuple):
    """What a condition mentions, like `order.paid` or `order.lines.sku`, the steps that it takes at most, and how it is
    written where each field of a variable is a variable of its own, like `order__paid`: to hand over a record takes the
    library some 2 µs, and a value a tenth of that."""

    mentions: Paths
    steps: int
    flat: str


def read_condition(text: str, variables: Mapping[str, Type]) -> Reading:
    """Read a condition about some variables. Raises `InvalidConditionError`."""
    if len(text) > MAX_CHARS:
        raise InvalidConditionError(f"it has {len(text):,} characters, and at most {MAX_CHARS:,} will do")
    reader = _Reader(_tokens(text), variables)
    reader.whole()
    steps = reader.steps + _handing_over(reader.mentions, variables)
    if steps > MAX_STEPS:
        raise InvalidConditionError(
            f"it may take {steps:,} steps for the largest order, and at most {MAX_STEPS:,} will do; look at the lines"
            " once, and at fewer of their fields"
        )
    return Reading(frozenset(reader.mentions), steps, reader.flat(text))


def _handing_over(mentions: set[str], variables: Mapping[str, Type]) -> int:
    """The steps that it takes to make the lists that are mentioned, with the fields that are."""
    steps = 0
    for mention in mentions:
        root, _, name = mention.partition(".")
        listed = variables[root].fields.get(name)
        if listed is not None and listed.base is Base.LIST:
            fields = sum(other.startswith(f"{mention}.") for other in mentions)
            steps += listed.most * (MADE_STEPS + FIELD_STEPS * fields)
    return steps


class _Token(NamedTuple):
    kind: str
    text: str
    column: int


_TOKEN = re.compile(
    r"""[ \t\r\n]*(?:
    (?P<number>(?:0|[1-9][0-9]{0,18})(?![0-9A-Za-z_.]))
    |(?P<text>'(?:[^'\\\r\n]|\\['"\\])*'|"(?:[^"\\\r\n]|\\['"\\])*")
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>&&|\|\||==|!=|<=|>=|[-<>!+*/%?:.,()\[\]])
    |(?P<end>\Z))""",
    re.VERBOSE,
)


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while not tokens or tokens[-1].kind != "end":
        found = _TOKEN.match(text, at)
        if found is None:
            raise InvalidConditionError(
                f"it cannot be read from {text[at:].strip()[:20]!r} on; numbers are whole, and text stands in quotes"
            )
        kind = found.lastgroup or ""
        tokens.append(_Token(kind, found[kind], found.start(kind) + 1))
        at = found.end()
    for before, after in pairwise(tokens):
        # r'…', b'…' and '''…''' are CEL, and mean something else.
        joined = after.column == before.column + len(before.text) and before.kind in ("name", "text")
        if after.kind == "text" and joined and before.text != "in":
            raise InvalidConditionError(
                f"{before.text}{after.text}: write text in single or double quotes, and no more"
            )
    return tokens


_INSTEAD = {
    "has": "every field is there, and may be null: compare it with null instead",
    "matches": "patterns are not for conditions: use startsWith, endsWith, contains or ==",
    "map": "it makes another list, which may take too long: use exists, all or exists_one",
    "filter": "it makes another list, which may take too long: use exists, all or exists_one",
}
_LOOPS = ("exists", "all", "exists_one")
_OF_TEXT = ("startsWith", "endsWith", "contains")
_KNOWN = ", ".join((*_OF_TEXT, "size", *_LOOPS))


class _Reader:
    """Reads an expression once, from left to right, as CEL's grammar has it."""

    def __init__(self, tokens: list[_Token], variables: Mapping[str, Type]) -> None:
        self._tokens = tokens
        self._next = 0
        self._scope = {name: Term(kind, name, name) for name, kind in variables.items()}
        self._variables = variables
        self._some: Paths = NONE
        """The paths that cannot be null here."""
        self._times = 1
        self._depth = 0
        self._spans: list[tuple[int, int, str]] = []
        """From where to where the text has what is to be written otherwise, and how."""
        self.mentions: set[str] = set()
        self.steps = 0

    def whole(self) -> None:
        term = self._expression()
        if self._tokens[self._next].kind != "end":
            raise self._unexpected()
        self._must_be(term, Base.TRUTH, "the condition")

    def flat(self, text: str) -> str:
        """The text that was read, with each field of a variable under one name."""
        for begin, end, instead in sorted(self._spans, reverse=True):
            text = text[:begin] + instead + text[end:]
        return text

    def _flatten(self, variable: int, name: str) -> None:
        """`variable.name`, of which `name` was just read: brackets may stand between the two."""
        for number, instead in (
            (variable, f"{self._tokens[variable].text}{JOINED}{name}"),
            (self._next - 2, ""),
            (self._next - 1, ""),
        ):
            token = self._tokens[number]
            self._spans.append((token.column - 1, token.column - 1 + len(token.text), instead))

    # What the grammar has, from the loosest to the tightest.

    def _expression(self) -> Term:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise InvalidConditionError(f"it is nested more than {MAX_DEPTH} deep; say it more simply")
        asked = self._or()
        if self._took("?"):
            self._must_be(asked, Base.TRUTH, "what stands before ?")
            yes = self._knowing(asked.if_true, self._or)
            self._expect(":")
            no = self._knowing(asked.if_false, self._expression)
            asked = Term(self._either(yes, no))
        self._depth -= 1
        return asked

    def _or(self) -> Term:
        left = self._and()
        while self._took("||"):
            right = self._truths(left, left.if_false, self._and, "||")
            left = Term(TRUTH, if_true=left.if_true & right.if_true, if_false=left.if_false | right.if_false)
        return left

    def _and(self) -> Term:
        left = self._relation()
        while self._took("&&"):
            right = self._truths(left, left.if_true, self._relation, "&&")
            left = Term(TRUTH, if_true=left.if_true | right.if_true, if_false=left.if_false & right.if_false)
        return left

    def _truths(self, left: Term, known: Paths, read: Callable[[], Term], sign: str) -> Term:
        """The right side of a sign between truths, where something is known from the left one."""
        self._must_be(left, Base.TRUTH, f"what stands before {sign}")
        right = self._knowing(known, read)
        self._must_be(right, Base.TRUTH, f"what stands after {sign}")
        return right

    def _relation(self) -> Term:
        left = self._sum()
        while (sign := self._took("==", "!=", "<", "<=", ">", ">=", "in")) is not None:
            right = self._sum()
            if sign in ("==", "!="):
                left = self._equality(left, right, sign)
            elif sign == "in":
                left = self._membership(left, right)
            else:
                self._numbers(left, right, sign)
                left = Term(TRUTH)
        return left

    def _sum(self) -> Term:
        return self._arithmetic(self._product, "+", "-")

    def _product(self) -> Term:
        return self._arithmetic(self._unary, "*", "/", "%")

    def _arithmetic(self, read: Callable[[], Term], *signs: str) -> Term:
        left = read()
        while (sign := self._took(*signs)) is not None:
            self._numbers(left, read(), sign)
            left = Term(NUMBER)
        return left

    def _unary(self) -> Term:
        sign = self._took("!", "-")
        if sign is None:
            return self._member()
        if self._took(sign):
            raise InvalidConditionError(f"{sign}{sign}: once is enough")
        term = self._member()
        self._must_be(term, Base.TRUTH if sign == "!" else Base.NUMBER, f"what stands after {sign}")
        return Term(term.type, if_true=term.if_false, if_false=term.if_true)

    def _member(self) -> Term:
        term = self._primary()
        while (sign := self._took(".", "[")) is not None:
            if sign == "[":
                term = self._item(term)
                continue
            name = self._name()
            term = self._call(term, name) if self._took("(") else self._field(term, name)
        return term

    def _primary(self) -> Term:
        token = self._take()
        self._spend(1)
        if token.kind in ("number", "text"):
            return Term(NUMBER if token.kind == "number" else TEXT)
        if token.text == "(":
            term = self._expression()
            self._expect(")")
            return term
        if token.text == "[":
            return self._list()
        if token.kind != "name" or token.text == "in":
            self._next -= 1
            raise self._unexpected()
        if token.text in _CONSTANTS:
            return Term(_CONSTANTS[token.text])
        if self._took("("):
            return self._function(token.text)
        if token.text not in self._scope:
            raise InvalidConditionError(f"{token.text!r} is not known; there are {', '.join(self._scope)}")
        term = self._scope[token.text]
        return term._replace(variable=self._next - 1) if token.text in self._variables else term

    # Names, lists and functions.

    def _field(self, term: Term, name: str) -> Term:
        called = self._called(term, "what stands before the dot")
        self._must_be_some(term, called)
        kind = term.type.fields.get(name)
        if kind is None:
            if not term.type.fields:
                raise InvalidConditionError(f"{called} is {term.type.base}, and has no {name!r}")
            raise InvalidConditionError(f"{called} has no {name!r}; it has {', '.join(term.type.fields)}")
        self._spend(1 + ITEM_STEPS * kind.most)
        if term.variable is not None:
            self._flatten(term.variable, name)
        place = f"{term.place}.{name}"
        self.mentions.add(place)
        return Term(kind, None if term.path is None else f"{term.path}.{name}", place)

    def _item(self, term: Term) -> Term:
        self._must_be(term, Base.LIST, "what stands before [")
        first = self._next
        self._must_be(self._expression(), Base.NUMBER, "what stands in [ ]")
        # Only an item whose number is written out has a name, by which to know that it is not null.
        named = term.path is not None and self._next == first + 1 and self._tokens[first].kind == "number"
        self._expect("]")
        path = f"{term.path}[{self._tokens[first].text}]" if named else None
        return Term(term.type.item or NULL, path, term.place)

    def _list(self) -> Term:
        items: list[Term] = []
        while not self._took("]"):
            if items:
                self._expect(",")
            token = self._took_kind("number", "text")
            if token is None:
                raise InvalidConditionError("a list in [ ] is of whole numbers or of text; write them out")
            self._spend(1)
            items.append(Term(NUMBER if token.kind == "number" else TEXT))
            if items[-1].type != items[0].type:
                raise InvalidConditionError("a list in [ ] is of whole numbers or of text, not of both")
        if not items:
            raise InvalidConditionError("an empty list has nothing in it; write what it should have")
        self._spend(ITEM_STEPS * len(items))
        return Term(Type(Base.LIST, item=items[0].type, most=len(items)))

    def _function(self, name: str) -> Term:
        if name != "size":
            raise self._no_function(name)
        term = self._expression()
        self._expect(")")
        return self._size(term)

    def _size(self, term: Term) -> Term:
        self._spend(CALL_STEPS)
        self._must_be(term, Base.LIST, "what size is asked of")
        return Term(NUMBER)

    def _call(self, term: Term, name: str) -> Term:
        if name in _LOOPS:
            return self._loop(term, name)
        if name == "size":
            self._expect(")")
            return self._size(term)
        if name not in _OF_TEXT:
            raise self._no_function(name)
        self._must_be(term, Base.TEXT, f"what stands before .{name}")
        self._must_be(self._expression(), Base.TEXT, f"what stands in {name}( )")
        self._expect(")")
        self._spend(CALL_STEPS)
        return Term(TRUTH)

    def _loop(self, term: Term, name: str) -> Term:
        """`list.exists(each, condition)`: the condition is read once, and counted for every item."""
        self._must_be(term, Base.LIST, f"what stands before .{name}")
        each = self._name()
        if each in self._scope or each in _CONSTANTS or each == "in" or JOINED in each:
            raise InvalidConditionError(f"{each!r} has a meaning already; call the item otherwise")
        self._expect(",")
        scope, times, some = self._scope, self._times, self._some
        self._scope = {**scope, each: Term(term.type.item or NULL, each, term.place)}
        self._times *= term.type.most
        self._spend(1)
        self._must_be(self._expression(), Base.TRUTH, f"what stands in {name}( )")
        self._expect(")")
        self._scope, self._times, self._some = scope, times, some
        return Term(TRUTH)

    # Types.

    def _equality(self, left: Term, right: Term, sign: str) -> Term:
        for one, other in ((left, right), (right, left)):
            if other.type == NULL:
                if not one.type.nullable:
                    raise InvalidConditionError(f"{self._called(one, f'what stands beside {sign}')} is never null")
                paths = _paths(one)
                return Term(TRUTH, if_true=paths if sign == "!=" else NONE, if_false=paths if sign == "==" else NONE)
        if left.type.base is not right.type.base or left.type.base in (Base.LIST, Base.RECORD):
            raise InvalidConditionError(f"{left.type.base} and {right.type.base} cannot be compared with {sign}")
        paths = NONE if right.type.nullable else _paths(left)
        return Term(TRUTH, if_true=paths if sign == "==" else NONE, if_false=paths if sign == "!=" else NONE)

    def _membership(self, left: Term, right: Term) -> Term:
        self._must_be(right, Base.LIST, "what stands after in")
        item = right.type.item or NULL
        if left.type.base is not item.base or item.base is Base.RECORD:
            raise InvalidConditionError(f"{left.type.base} cannot be in a list whose items are {item.base}")
        self._spend(right.type.most)
        return Term(TRUTH, if_true=_paths(left))

    def _numbers(self, left: Term, right: Term, sign: str) -> None:
        self._spend(1)
        self._must_be(left, Base.NUMBER, f"what stands before {sign}")
        self._must_be(right, Base.NUMBER, f"what stands after {sign}")

    def _either(self, yes: Term, no: Term) -> Type:
        if yes.type.base is not no.type.base or yes.type.base not in (Base.NUMBER, Base.TEXT, Base.TRUTH):
            raise InvalidConditionError(
                f"both sides of : must be numbers, text or truths alike; here are {yes.type.base} and {no.type.base}"
            )
        return replace(yes.type, nullable=self._may_be_null(yes) or self._may_be_null(no))

    def _must_be(self, term: Term, base: Base, what: str) -> None:
        if term.type.base is not base:
            raise InvalidConditionError(f"{self._called(term, what)} must be {base}, and is {term.type.base}")
        self._must_be_some(term, self._called(term, what))

    def _must_be_some(self, term: Term, called: str) -> None:
        if self._may_be_null(term):
            raise InvalidConditionError(
                f"{called} may be null, and the condition must say what it does then: write {called} != null && …"
                f" before it, or {called} == null || …"
            )

    def _may_be_null(self, term: Term) -> bool:
        return term.type.nullable and term.path not in self._some

    @staticmethod
    def _called(term: Term, otherwise: str) -> str:
        return otherwise if term.path is None else term.path

    def _knowing(self, paths: Paths, read: Callable[[], Term]) -> Term:
        """Read where some paths cannot be null."""
        before = self._some
        self._some = before | paths
        term = read()
        if term.path in self._some and term.type.nullable:
            term = term._replace(type=replace(term.type, nullable=False))
        self._some = before
        return term

    # Tokens.

    def _spend(self, steps: int) -> None:
        self.steps += steps * self._times

    def _take(self) -> _Token:
        self._next += 1
        return self._tokens[self._next - 1]

    def _took(self, *texts: str) -> str | None:
        token = self._tokens[self._next]
        if token.text not in texts or token.kind == "text":
            return None
        self._next += 1
        return token.text

    def _took_kind(self, *kinds: str) -> _Token | None:
        return self._take() if self._tokens[self._next].kind in kinds else None

    def _name(self) -> str:
        token = self._took_kind("name")
        if token is None:
            raise self._unexpected()
        return token.text

    def _expect(self, text: str) -> None:
        if self._took(text) is None:
            raise InvalidConditionError(f"{self._where()} where {text} should be")

    def _unexpected(self) -> InvalidConditionError:
        return InvalidConditionError(f"{self._where()}, which is not expected there")

    def _where(self) -> str:
        token = self._tokens[self._next]
        return "it ends" if token.kind == "end" else f"at character {token.column} stands {token.text}"

    @staticmethod
    def _no_function(name: str) -> InvalidConditionError:
        return InvalidConditionError(f"{name}: {_INSTEAD.get(name, f'there is no such function; there are {_KNOWN}')}")


_CONSTANTS = {"true": TRUTH, "false": TRUTH, "null": NULL}


def _paths(term: Term) -> Paths:
    return NONE if term.path is None else frozenset((term.path,))
