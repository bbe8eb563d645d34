"""TALKS. HTTP in: parse, call one command, render. No decisions here.

The admin application (admin/) is an ordinary aiohttp one, built by admin_app.py from the parts the composition root hands in. Its
routes stand in one table (routes.py) that the application, the OpenAPI description and the tests read alike; a request
passes admission.py (host, path, token, origin) and reading.py (body, query) before its handler, and every refusal
leaves as problem+json (problems.py). Belongs here: what a request may look like and how an answer is written. Does not
belong here: what a command means (runtime), what a value is (core), SQL, any knowledge of concrete stores and wires.
"""
