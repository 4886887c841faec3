"""Owns stock items: what a location has received, holds, has promised and has sold of a SKU.

It refuses to sell a unit twice, and to know prices, products or why an order wants its units.
"""
