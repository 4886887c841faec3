"""The demo shop's own goods and pictures, made here, so that a first run has something to sell.

`goods` gives the products as a product file would; `pictures` draws one for each. Both are pure:
the same every time, with nothing fetched and nothing stored.
"""
