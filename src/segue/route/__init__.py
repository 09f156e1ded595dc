"""Which events go to which destination.

Rule: routing only decides; it sends nothing, stores nothing and changes no event.
"""
