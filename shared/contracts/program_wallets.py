"""What a program document says of wallets: the kinds of points, and how long they are good."""

from typing import Annotated, Self

from pydantic import ConfigDict, Field, field_validator, model_validator
from pydantic.config import JsonDict

from shared.contracts.program_fields import Days, Money, Part
from shared.domain import program as domain
from shared.domain.ids import Wallet

NEVER = "never"


class ExpiryDocument(Part):
    """How long points are good: exactly one of `days`, `months` or `end_of_year`."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    days: Days | None = None
    """So many days after the one on which they become active, to its end."""
    months: Annotated[int, Field(ge=1, le=1200)] | None = None
    """So many months after that day, to the end of the day; 31 January + 1 is 28 February."""
    end_of_year: Annotated[int, Field(ge=0, le=100)] | None = None
    """To the end of the year in which they become active (0), or so many years later."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError("give exactly one of days, months or end_of_year, or write never")
        return self

    def to_domain(self) -> domain.Expiry:
        if self.days is not None:
            return domain.AfterDays(self.days)
        if self.months is not None:
            return domain.AfterMonths(self.months)
        return domain.EndOfYear(self.end_of_year or 0)


def _with_never(schema: JsonDict) -> None:
    """The document says `never` where we have None."""
    schema["anyOf"] = [{"$ref": schema.pop("$ref")}, {"const": NEVER}]


class WalletDocument(Part):
    """A wallet: spendable points, or a counter such as growth."""

    spendable: bool
    """Points to spend, kept in lots; or a counter that only grows and shrinks, like growth value."""
    expiry: Annotated[ExpiryDocument | None, Field(json_schema_extra=_with_never)]
    """`never`, or exactly one of days, months and end_of_year."""
    point_cost: Money | None = None
    """What a point costs whoever runs the program, in units of the currency, for budgets of money."""

    @field_validator("expiry", mode="before")
    @classmethod
    def _never(cls, written: object) -> object:
        if isinstance(written, str):
            if written != NEVER:
                raise ValueError("write never, or one of days, months or end_of_year")
            return None
        return written

    def to_domain(self, wallet: Wallet) -> domain.WalletPolicy:
        expiry = domain.Never() if self.expiry is None else self.expiry.to_domain()
        return domain.WalletPolicy(wallet, self.spendable, expiry)
