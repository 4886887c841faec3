"""Mechanisms: transactions, batches, outbox, log and flows. Knows no commerce noun but money."""
