"""Prompts from elsewhere: one module a format, each a pure function from a file's text to the body of a version.

Belongs here: what a foreign format means in our words (imported.py has the shared vocabulary). Does not belong here: files,
the server, what a version may contain (core). Rule: what cannot be taken over is named with its path and the reason; what would
change meaning is refused. Nothing is guessed and nothing is dropped in silence.
"""
