"""Whether the amounts of an order agree with each other."""

from shared.contracts.defect import Defect, Undecodable
from shared.domain.facts import Order, OrderLine
from shared.domain.ids import LineId

Fault = tuple[Defect, str, str]


def check_sums(order: Order) -> None:
    """Refuses an order whose amounts contradict each other, or that has two lines of one id, with `Undecodable`."""
    total = order.shipping
    add_up = True
    for line in order.lines:
        paid = line["paid"]
        total += paid
        if _due(line) != paid:
            add_up = False
    if not add_up or total != order.paid or len({line["line_id"] for line in order.lines}) != len(order.lines):
        faults = _faults(order, total)
        defect, path, reason = faults[0]
        raise Undecodable(defect, path, reason, count=len(faults))


def _due(line: OrderLine) -> int:
    return line["list_price"] - line["discount"] + line["tax"] - line["paid_in_points"]


def _faults(order: Order, total: int) -> list[Fault]:
    """All that is wrong, in the order in which it is told. `total` is what the lines and the shipping add up to."""
    faults: list[Fault] = []
    for index, line in enumerate(order.lines):
        if (due := _due(line)) != line["paid"]:
            reason = f"list_price - discount + tax - paid_in_points is {due}, but paid is {line['paid']}."
            faults.append((Defect.LINES_DO_NOT_ADD_UP, f"data.lines[{index}].paid", reason))
    faults += _repeated_lines(order)
    if total != order.paid:
        reason = f"The lines' paid amounts and the shipping add up to {total}, but paid is {order.paid}."
        faults.append((Defect.LINES_DO_NOT_ADD_UP, "data.paid", reason))
    return faults


def _repeated_lines(order: Order) -> list[Fault]:
    faults: list[Fault] = []
    first_of: dict[LineId, int] = {}
    for index, line in enumerate(order.lines):
        first = first_of.setdefault(line["line_id"], index)
        if first != index:
            reason = f"lines[{first}] has this line id already; a line id is unique in its order."
            faults.append((Defect.DUPLICATE_LINE, f"data.lines[{index}].line_id", reason))
    return faults
