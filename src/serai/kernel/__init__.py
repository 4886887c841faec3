"""Mechanisms: transactions, batches, the outbox and its log, flows. Knows no commerce noun but money."""
