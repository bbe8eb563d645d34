"""The open database: its file, who owns it, its connections and transactions, migrations, what its failures mean.

Not here: the SQL of any entity. May import nothing else of the store.
"""
