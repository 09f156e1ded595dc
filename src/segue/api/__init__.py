"""Application programming interfaces beside the Tracking API: what is read of an instance over HTTP, by token.

Rule: nothing here writes; what is answered to whom is decided before anything is read.
"""
