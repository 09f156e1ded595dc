"""From an event to the profile that it is about: identity rules, the graph of ids, traits.

Rule: what comes out depends on the records in the log's order and on the rules alone; only this stage changes profiles.
"""
