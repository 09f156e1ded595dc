"""HTTP in, durable events out: the Tracking API that every Segment SDK speaks.

Rule: an answer of 200 follows the commit of everything that the request held, what was accepted and what was dropped.
"""
