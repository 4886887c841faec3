"""The event log: carried by PostgreSQL, read in order and without gaps."""
