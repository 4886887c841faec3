"""The catalog in PostgreSQL: rows in, model out. The statements are in the folder queries."""
