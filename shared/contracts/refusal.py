"""What pydantic found wrong with a message, in this project's words."""

from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json

from shared.contracts.defect import Defect, Undecodable, path_of
from shared.contracts.surrogates import refusal_of_surrogate

_OF_ENVELOPE = {"specversion": Defect.WRONG_SPECVERSION, "type": Defect.UNKNOWN_TYPE}


def refusal_of_data(error: ValidationError, value: bytes) -> Undecodable:
    """The refusal of a `value` that is an event's data."""
    found = error.errors(include_url=False)
    if found[0]["type"] == "json_invalid" and (refused := refusal_of_surrogate(value, ("data",))) is not None:
        return refused
    return _refusal(found, ("data", *found[0]["loc"]), Defect.INVALID_FIELD)


def refusal_of_event(error: ValidationError, value: bytes) -> Undecodable:
    """The refusal of a `value` that is a whole event.

    Defects of the envelope go first, and alone: when it is wrong, nobody knows what its data should be.
    """
    found = error.errors(include_url=False)
    of_envelope = [each for each in found if each["loc"][:1] != ("data",)]
    defect = _defect_of(of_envelope[0]) if of_envelope else Defect.INVALID_FIELD
    if defect is Defect.NOT_CLOUDEVENTS:
        reason = "The value is no CloudEvent: it must be an object with specversion, or come with ce_… headers."
        return Undecodable(defect, "value", reason)
    counted = of_envelope or found
    refused = _refusal(counted, counted[0]["loc"], defect)
    if refused.defect is Defect.NOT_JSON:
        return refusal_of_surrogate(value, ()) or refused
    return _identified(refused, value)


def _defect_of(error: ErrorDetails) -> Defect:
    """What an error in the envelope comes to."""
    if not error["loc"] or (error["loc"] == ("specversion",) and error["type"] == "missing"):
        return Defect.NOT_JSON if error["type"] == "json_invalid" else Defect.NOT_CLOUDEVENTS
    return _OF_ENVELOPE.get(path_of(error["loc"]), Defect.INVALID_FIELD)


def _identified(refused: Undecodable, value: bytes) -> Undecodable:
    """The refusal, with the id and source that the event gives itself."""
    event = from_json(value)
    return refused.in_event(event.get("id"), event.get("source"))


def _refusal(found: list[ErrorDetails], location: tuple[int | str, ...], defect: Defect) -> Undecodable:
    first = found[0]
    if first["type"] == "json_invalid":
        return Undecodable(Defect.NOT_JSON, "value", f"{first['msg'].rstrip('.')}.")
    return Undecodable(defect, path_of(location), _reason(first), count=len(found))


def _reason(error: ErrorDetails) -> str:
    if error["type"] == "missing":
        return "The field is missing."
    if error["type"] == "string_pattern_mismatch":
        return "The text does not have the form that the contract asks for."
    return f"{error['msg'].rstrip('.')}, but it is {_kind(error['input'])}."


def _kind(value: object) -> str:
    """What a value is, without what a text says: it may be somebody's name."""
    match value:
        case None:
            return "null"
        case bool():
            return "a truth value"
        case int() | float():
            return f"the number {value}" if abs(value) < 2**64 else "a number of more than 64 bits"
        case str():
            return f"a text of {len(value)} characters"
        case _:
            return "an array" if isinstance(value, list) else "an object"
