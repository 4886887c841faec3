"""Owns shipments: which lines of an order travel together, and where the parcel is.

It refuses to know stock and money: goods are handed to it when an order is confirmed.
"""
