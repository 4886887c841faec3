"""The catalog's other adapters: product files in Serai's, Vendure's and Shopify's CSV layouts.

`product_file` is the way in, `csv_rows` reads for it, and the other files are its parts. Nothing
here touches a database: a file goes in, products and the problems of its rows come out.
"""
