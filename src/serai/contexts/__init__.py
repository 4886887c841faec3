"""The bounded contexts: each owns its tables, its events and its routes, all with the same rooms.

A context knows another only by its `contract`; what crosses contexts is a flow.
"""
