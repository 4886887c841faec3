"""Moves a tenant from one home to another while it is served (ADR 0024)."""
