"""Privacy owns consents, retention rules and the erasures of people, with their certificates.

What is known about a person each context keeps and takes out itself; privacy only leads through it.
"""
