"""Judging finished answers by the validators of their versions, off the path of calls.

Belongs here: keeping a copy of such answers within bounds, the queue, the process that judges. Does not belong here: what a validator
says of a text (core/versions/judging.py), what a wire's text is, how an outcome is recorded. May import process and telemetry.
"""
