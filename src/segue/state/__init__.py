"""Rows in transactions: what control holds, what each destination has done, what was dropped.

Rule: each database file has one writer role, or short transactions; nothing here imports a stage.
"""
