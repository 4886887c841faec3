"""The catalog in PostgreSQL: rows in, model out. The statements are in queries.sql beside it."""
