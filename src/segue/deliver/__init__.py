"""Delivery: from an event that route lets through to an answer of the vendor.

Rule: nothing is sent without a cursor or a row that would send it again after a crash.
"""
