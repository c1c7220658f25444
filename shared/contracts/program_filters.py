"""A time in which part of a program counts."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from shared.contracts.program_fields import Moment, Part
from shared.domain.filters import Window
from shared.domain.time import instant_of


class WindowDocument(Part):
    """A time in which a rule gives points."""

    from_: Annotated[Moment, Field(alias="from")]
    """Its first instant."""
    until: Moment
    """The first instant after it."""

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.until <= self.from_:
            raise ValueError("it ends before it starts; until is the first instant after it")
        return self

    def to_domain(self) -> Window:
        return Window(instant_of(self.from_), instant_of(self.until))
