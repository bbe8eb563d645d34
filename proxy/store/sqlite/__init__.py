"""The default store: one SQLite file, one process that owns it, one writing connection.

store.py is the face (the Store protocol); opening/ owns file, connections and transactions; changes.py, traffic.py, lists.py and
runs/ hold the SQL by matter, as plain functions that run on a connection's own thread; proof.py proves what stands there.
"""

from proxy.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
