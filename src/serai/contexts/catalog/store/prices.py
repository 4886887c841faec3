"""Answers what SKUs cost: the hot path of every order."""

from collections.abc import Sequence
from decimal import Decimal

from serai.contexts.catalog.contract import Quote, Wanted
from serai.kernel import queries
from serai.kernel.db import Tx
from serai.kernel.money import exponent, is_currency

SQL = queries.load("serai.contexts.catalog")


class PostgresPrices:
    """The contract's `Prices` over PostgreSQL."""

    async def quote(self, wanted: Sequence[Wanted], *, tx: Tx) -> list[Quote | None]:
        if not wanted:
            return []
        rows = await tx.fetch(
            SQL.quote_skus,
            [want.tenant_id for want in wanted],
            [want.sku for want in wanted],
            [want.currency for want in wanted],
        )
        currencies = {want.currency for want in wanted}
        digits = {code: -exponent(code) for code in currencies if is_currency(code)}
        quotes: list[Quote | None] = []
        for want, (status, title, amount_minor) in zip(wanted, rows, strict=True):
            if status is None:
                quotes.append(None)
            elif amount_minor is None:
                quotes.append(Quote(status, title, None))
            else:
                price = Decimal(amount_minor).scaleb(digits[want.currency])
                quotes.append(Quote(status, title, price))
        return quotes
