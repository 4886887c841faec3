"""Owns the audit trail: who changed what, when, from where and why, chained so that it shows.

It refuses to change or delete an entry, and to decide what is worth one: those who make a change
record it, in the transaction that makes it true.
"""
