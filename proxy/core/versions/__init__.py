"""Versions: their five components and prompts, and what differs between two of them.

Not here: which version a call gets (calls), what a label serves (snapshot.py, releasing). May import core's ground.
"""
