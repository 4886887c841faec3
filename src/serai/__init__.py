"""Serai: a headless commerce platform that never oversells and never loses an order."""
