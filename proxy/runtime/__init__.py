"""RUNS. asyncio, clocks, sockets; state that lives as long as the process.

Belongs here: the two conductors (request_path, release_commands) and the parts they call: live snapshot, spend ledger,
upstream, recorder, metrics, prices. Does not belong here: deciding (core), provider formats (wires), SQL (store), HTTP
routes of the admin API (edges). Parts do not know each other; conductors know the parts.
"""
