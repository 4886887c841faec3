"""Owns what a shop offers, and refuses to know how many there are or what is paid in the end.

Products, their variants and SKUs, options, categories, facets, pictures by address and the list
prices of each variant in each currency are its own; it decides what is a draft, published or
archived, and answers searches over what is published. It counts no stock (inventory does), asks
nobody who they are (identity does), and never changes a price by itself.
"""
