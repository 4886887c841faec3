"""What the catalog decides: whether fields fit, what a product becomes, what a search means."""
