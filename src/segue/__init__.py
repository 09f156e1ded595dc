"""Segue: an open, self-hosted customer data platform that speaks the Segment Spec.

Rule: nothing is imported here, so that each process loads only what it runs.
"""

__version__ = "0.1.0"
