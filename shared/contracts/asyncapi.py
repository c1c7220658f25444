"""The AsyncAPI 3.0 document: which events go where, in which form."""

from typing import Any

from shared.contracts import behaviour, check_in, examples, member, order_paid, points_changed, refund
from shared.contracts.fields import MAX_ATTRIBUTE_CHARS, NO_NUL

CONTRACT_VERSION = "1.1.0"
"""Of the contracts taken together. The middle number grows with every field that is added."""

_KAFKA_BINDING_VERSION = "0.5.0"
_SCHEMA_FORMAT = "application/schema+json;version=draft-2020-12"

_BEST_KEY = "Best the member id, so that a member's events keep their order; any other is right, too."

_ABOUT = """\
Events that Pointstream reads and sends through Kafka, as CloudEvents 1.0 with JSON data.

Both modes of CloudEvents are read. In binary mode the attributes are headers, as described here, and the value is the
data. In structured mode the header content-type is application/cloudevents+json and the value is the whole event.
Pointstream itself sends the binary mode.

Duplicates are expected: the same source and id is the same event, and counts once.

Within a version fields may be added. Whoever reads an event passes over the fields that it does not know.
"""


def document() -> dict[str, Any]:
    """The whole document, ready to be written as YAML."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Pointstream events",
            "version": CONTRACT_VERSION,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "orderPaid": _channel("order-paid", "orderPaid", "Paid orders. Any partitioning and any order will do."),
            "refund": _channel(
                "refund", "refund", "What was given back of orders, also before the order itself, in any order."
            ),
            "checkIn": _channel("check-in", "checkIn", "Check-ins, and make-up cards for days that were missed."),
            "behaviour": _channel("behaviour", "behaviour", "What members did, by the names that the program has."),
            "member": _channel("member", "member", "What rules may ask about members."),
            "pointsChanged": _channel(
                "points-changed",
                "pointsChanged",
                "What happened to the members' points. The partition is the shard. Read it with "
                "isolation.level=read_committed: each posting is then there once, a member's in order.",
            ),
        },
        "operations": {
            "earnPoints": _operation("receive", "orderPaid", "Decide what a paid order earns, and post it."),
            "takePointsBack": _operation("receive", "refund", "Take back what was earned by what is given back."),
            "countCheckIns": _operation("receive", "checkIn", "Add a day to a streak, and post what it gives."),
            "countBehaviours": _operation("receive", "behaviour", "Post what a behaviour gives or takes."),
            "knowMembers": _operation("receive", "member", "Keep the newest version of each member."),
            "tellPoints": _operation("send", "pointsChanged", "Tell what a posting did to an account."),
        },
        "components": {
            "parameters": {
                "installation": {
                    "description": "The installation's name; it comes before the name of each of its topics.",
                    "default": "pointstream",
                }
            },
            "messages": {
                "orderPaid": _message(
                    "order-paid.v1",
                    order_paid.TYPE,
                    "An order was paid.",
                    _BEST_KEY,
                    examples.ORDER_PAID,
                    sent_by_us=False,
                ),
                "refund": _message(
                    "refund.v1",
                    refund.TYPE,
                    "Something of an order was given back.",
                    _BEST_KEY,
                    examples.REFUND,
                    sent_by_us=False,
                ),
                "checkIn": _message(
                    "check-in.v1",
                    check_in.TYPE,
                    "A member checked in.",
                    _BEST_KEY,
                    examples.CHECK_IN,
                    sent_by_us=False,
                ),
                "behaviour": _message(
                    "behaviour.v1",
                    behaviour.TYPE,
                    "A member did something that the platform reports.",
                    _BEST_KEY,
                    examples.BEHAVIOUR,
                    sent_by_us=False,
                ),
                "member": _message(
                    "member.v1",
                    member.TYPE,
                    "A member is known, or has changed.",
                    _BEST_KEY,
                    examples.MEMBER,
                    sent_by_us=False,
                ),
                "pointsChanged": _message(
                    "points-changed.v1",
                    points_changed.TYPE,
                    "One posting changed a member's points.",
                    "The member id.",
                    examples.POINTS_CHANGED,
                    sent_by_us=True,
                ),
            },
        },
    }


def _channel(topic: str, message: str, description: str) -> dict[str, Any]:
    return {
        "address": "{installation}." + topic,
        "description": description,
        "parameters": {"installation": {"$ref": "#/components/parameters/installation"}},
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
        "bindings": {"kafka": {"bindingVersion": _KAFKA_BINDING_VERSION}},
    }


def _operation(action: str, channel: str, summary: str) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{channel}"}],
    }


def _message(
    contract: str, event_type: str, summary: str, key: str, example: dict[str, Any], *, sent_by_us: bool
) -> dict[str, Any]:
    return {
        "name": event_type,
        "title": contract,
        "summary": summary,
        "contentType": "application/json",
        "headers": headers_schema(event_type, sent_by_us=sent_by_us),
        "payload": {"schemaFormat": _SCHEMA_FORMAT, "schema": {"$ref": f"./{contract}.schema.json"}},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": key},
                "bindingVersion": _KAFKA_BINDING_VERSION,
            }
        },
        "examples": [{"name": contract, "summary": summary, **example}],
    }


def headers_schema(event_type: str, *, sent_by_us: bool) -> dict[str, Any]:
    """The headers of an event in binary mode. What we send has them all; of what we read, four are needed."""
    attribute = {"type": "string", "minLength": 1, "maxLength": MAX_ATTRIBUTE_CHARS, "pattern": NO_NUL}
    properties = {
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_type": {"type": "string", "const": event_type},
        "ce_id": {**attribute, "description": "Unique within the source."},
        "ce_source": {**attribute, "description": "Who sent it, as a URI reference."},
        "ce_time": {
            "type": "string",
            "format": "date-time",
            "description": "When the event was written, in RFC 3339. It decides nothing.",
        },
        "ce_subject": {"type": "string", "description": "What the event is about. It decides nothing."},
        "ce_partitionkey": {"type": "string", "description": "The member id."},
        "content-type": {"type": "string", "const": "application/json"},
    }
    needed = ["ce_specversion", "ce_type", "ce_id", "ce_source"]
    return {"type": "object", "properties": properties, "required": list(properties) if sent_by_us else needed}
