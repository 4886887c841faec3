"""The attacks of ACIDRain and more, over HTTP: what concurrent sessions may not be able to do.

The classes are those of Warszawski and Bailis, "ACIDRain: Concurrency-Related Attacks on
Database-Backed Web Applications" (SIGMOD 2017), for every feature that Serai has. An attack sends
requests of several sessions at once, lets the shop come to rest, and asks the API whether a promise
was broken. It knows nothing of how Serai is made.
"""
