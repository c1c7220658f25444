"""Whether the amounts of an order agree with each other."""

from shared.contracts.defect import Defect, Undecodable
from shared.domain.ids import LineId
from shared.domain.model import Order

Fault = tuple[Defect, str, str]


def check_sums(order: Order) -> None:
    """Refuses an order whose amounts contradict each other, or that has two lines of one id, with `Undecodable`."""
    faults: list[Fault] = []
    total = order.shipping
    for index, line in enumerate(order.lines):
        due = line["list_price"] - line["discount"] + line["tax"] - line["paid_in_points"]
        paid = line["paid"]
        if due != paid:
            reason = f"list_price - discount + tax - paid_in_points is {due}, but paid is {paid}."
            faults.append((Defect.LINES_DO_NOT_ADD_UP, f"data.lines[{index}].paid", reason))
        total += paid
    if len({line["line_id"] for line in order.lines}) != len(order.lines):
        faults += _repeated_lines(order)
    if total != order.paid:
        reason = f"The lines' paid amounts and the shipping add up to {total}, but paid is {order.paid}."
        faults.append((Defect.LINES_DO_NOT_ADD_UP, "data.paid", reason))
    if faults:
        defect, path, reason = faults[0]
        raise Undecodable(defect, path, reason, count=len(faults))


def _repeated_lines(order: Order) -> list[Fault]:
    faults: list[Fault] = []
    first_of: dict[LineId, int] = {}
    for index, line in enumerate(order.lines):
        first = first_of.setdefault(line["line_id"], index)
        if first != index:
            reason = f"lines[{first}] has this line id already; a line id is unique in its order."
            faults.append((Defect.DUPLICATE_LINE, f"data.lines[{index}].line_id", reason))
    return faults
