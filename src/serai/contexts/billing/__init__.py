"""Owns what tenants owe the operator: plans with quotas, subscriptions, metered usage and invoices.

It refuses to know what a tenant's own customers pay, and to hold up a tenant that has no plan.
"""
