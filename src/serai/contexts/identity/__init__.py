"""Owns who may come in: accounts of customers and staff, their roles, sessions and tokens.

It refuses to know what anyone buys or sells, and to keep a password or a token that could be used.
"""
