"""Owns returns: which units a customer sends back, and how far her refund has come.

It refuses to decide what may be returned (the order knows) and to move money or stock (flows do).
"""
