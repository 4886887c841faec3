"""Payments owns the payment intents of orders, what was captured and what was given back.

It asks a vendor to move money and writes down what the vendor said, and it treats an answer that
never came as a state of its own until reconciliation has settled it. It refuses to call a vendor
inside a transaction, to hold more than one capture per intent, to refund more than was captured,
and to keep a card number: what it hands to a vendor is a token.
"""
