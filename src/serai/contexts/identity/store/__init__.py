"""Keeps accounts, sessions, tokens, tries, roles and keys in PostgreSQL."""
