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
        # A crowd after one SKU asks the database once.
        places: dict[Wanted, int] = {}
        order = [places.setdefault(want, len(places)) for want in wanted]
        rows = await tx.fetch(
            SQL.quote_skus,
            [want.tenant_id for want in places],
            [want.sku for want in places],
            [want.currency for want in places],
        )
        currencies = {want.currency for want in places}
        digits = {code: -exponent(code) for code in currencies if is_currency(code)}
        quotes: list[Quote | None] = []
        for want, (status, title, amount_minor) in zip(places, rows, strict=True):
            if status is None:
                quotes.append(None)
            elif amount_minor is None:
                quotes.append(Quote(status, title, None))
            else:
                price = Decimal(amount_minor).scaleb(digits[want.currency])
                quotes.append(Quote(status, title, price))
        return [quotes[place] for place in order]
