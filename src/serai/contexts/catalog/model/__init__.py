"""What the catalog decides, from data it is given: fields, products, and what a search looks for."""
