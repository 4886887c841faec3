"""Processes that cross contexts: one file each, to be read from top to bottom.

A flow knows contexts by their contracts only, and keeps no business rule of theirs.
"""
