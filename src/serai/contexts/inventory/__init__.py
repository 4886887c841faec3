"""Owns stock items: how many units of a SKU a location has received, holds, has promised and has sold.

It refuses to sell a unit twice, and to know prices, products or why an order wants its units.
"""
