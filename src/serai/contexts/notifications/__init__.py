"""Owns messages to customers: renders them from templates, queues them, and sends each once in effect.

It refuses to decide anything about an order, and to send inside a transaction.
"""
