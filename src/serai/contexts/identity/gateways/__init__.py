"""Keys, hashes and memories: how a token is signed and known again, and who is told of its end."""
