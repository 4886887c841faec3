"""The catalog's other adapters: product files in Serai's, Vendure's and Shopify's CSV layouts.

`csv_rows` is the way in; the other files are its parts. Nothing here touches a database: a file
goes in, products and the problems of its rows come out.
"""
