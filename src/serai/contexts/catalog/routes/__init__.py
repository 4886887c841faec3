"""The catalog over HTTP: decode, command, handler, encode."""
