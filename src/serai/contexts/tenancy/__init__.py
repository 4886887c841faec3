"""Owns tenants, their homes and their API keys; it is the directory that maps a tenant to its rows.

It refuses to keep a key's secret (only a digest is stored) and to know anything that is sold.
"""
