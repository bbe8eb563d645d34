"""Rows <-> core values, shared by every SQL store: how a value is written as columns, and what rows the audit log demands.

Not here: SQL. May import core alone.
"""
