"""Owns messages to customers: queues them, writes them from templates, sends each once in effect.

It refuses to decide anything about an order, and to send inside a transaction.
"""
