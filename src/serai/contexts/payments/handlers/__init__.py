"""What payments do: with commands, with the provider's words, and with what is still open.

`requests` begins and ends payments, `asking` calls the provider outside any transaction, `answers`
writes down what it said, `looking` asks again about what is open. `books` says which rows they
need; `changes` collects what a batch changes.
"""
