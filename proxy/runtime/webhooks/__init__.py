"""Telling outside programs what happened: a delivery for each event and endpoint, kept until it is made or given up.

Belongs here: taking events out of the audit log, keeping what is not delivered yet, the times of tries, dead letters. Does not belong
here: what is an event and how it is signed (core/webhooks), the request itself (edges/webhooks). May import process and telemetry.
"""
