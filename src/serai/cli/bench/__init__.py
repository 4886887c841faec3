"""Measures orders: a load client, a fresh shop to send them to, and a careful baseline beside it.

It drives the shop from outside, as a buyer's client would, and reads the figures from the database
and the operating system, never from counters of the shop itself.
"""
