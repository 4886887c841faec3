"""`serai prove`: a shop of real processes is attacked for a while, then every promise is checked.

Buyers keep their own history of what they were answered (`history.py`); what is true at the end is
read over HTTP, from the provider's own book and from the kernel (`witness.py`); `invariants.py`
holds the one against the other.
"""
