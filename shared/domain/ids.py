"""Names for the ids of the domain, so that a type checker keeps them apart."""

from typing import NewType

MemberId = NewType("MemberId", str)
OrderId = NewType("OrderId", str)
RefundId = NewType("RefundId", str)
LineId = NewType("LineId", str)
EventId = NewType("EventId", str)
EventSource = NewType("EventSource", str)
RuleId = NewType("RuleId", str)
CapId = NewType("CapId", str)
BudgetId = NewType("BudgetId", str)
MultiplierId = NewType("MultiplierId", str)
Wallet = NewType("Wallet", str)
AdjustmentId = NewType("AdjustmentId", str)
ImportId = NewType("ImportId", str)

LotId = NewType("LotId", int)
"""The number of a lot within its account: 1, 2, 3 … in the order of issue."""

ProgramVersion = NewType("ProgramVersion", int)
Shard = NewType("Shard", int)
"""Which of the installation's N slices a member belongs to: 0 to N − 1."""
