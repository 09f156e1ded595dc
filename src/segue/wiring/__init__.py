"""Where the parts are put together: processes, files, sockets, and which engine is in use.

Rule: only this package, `settings.py` and `cli.py` know which engine is in use; no other module imports it.
"""
