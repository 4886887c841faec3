"""Owns orders and their lines: what was bought, at which price, and what became of it.

It refuses to know stock, money or parcels: it is told of them by flows and by the events of others.
"""
