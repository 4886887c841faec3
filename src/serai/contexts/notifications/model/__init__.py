"""Decisions about messages: what they say, to whom they may go, and when they are tried again."""
