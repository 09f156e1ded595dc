"""The event history of a space: Parquet files, which any tool reads, and a manifest that says which of them count.

Rule: it holds every event that the space has applied below its cursor, each once; a file that the manifest does not
name is not part of it.
"""
