"""Puts a real shop's trade through the public API, and reconciles it to the penny.

A file is read and planned, its plan is carried out over HTTP in steps that are safe to repeat, and
each figure is then asked of the shop, never of counters of our own.
"""

from serai.cli.replay.command import app, replay

__all__ = ["app", "replay"]
