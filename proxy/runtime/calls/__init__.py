"""A call under way: the conductor of the data path (request_path.py) and its steps.

Not here: deciding (core), provider formats (wires), framing (http1, met in upstream.py alone). May import spending/, state/, telemetry/, process/ and providers.py.
"""
