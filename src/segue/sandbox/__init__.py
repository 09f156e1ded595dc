"""The sandboxes: receivers that behave as the vendors do, for trying and testing offline.

Rule: a vendor is one module of this package that holds a `receiver`; nothing else has to know of it. What no
vendor document says is PROPOSED, our own contract, and named so where it stands.
"""
