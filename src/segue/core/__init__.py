"""The words of Segue, pure: what an event, a destination, a reason and an error are.

Rule: nothing in this package does I/O, reads a clock or draws a random number.
"""
