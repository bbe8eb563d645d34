"""The command `switchback`: serve, demo, simulate, and every admin verb.

Admin verbs speak to the admin API over HTTP and to nothing else: never to the store, never to runtime. They hold no rules;
what is allowed is the server's to say. `app.py` assembles the command; one module a noun; `admin_command.py` gives each
admin verb its connection options; `showing.py` is the only place that prints what a server sent.
"""
