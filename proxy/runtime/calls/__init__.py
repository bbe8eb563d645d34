"""A call under way: the conductor of the data path (request_path.py) and its steps.

Not here: deciding (core), provider formats (wires), framing (http1, met in upstream.py alone). May import spending/, state/, telemetry/, process/ and providers.py.

    request_path  the conductor: identify -> resolve -> guard -> inject -> forward -> meter -> record
    stages        what a call comes to be, a value each: asked, resolved, sendable, attempt, answered
    flight        the call's own object, which the conductor alone touches
    path_parts    what all of it is put together from

A step each, values in and values out: identifying, resolving, guarding, injecting, answering, metering, recording; refusing for what the
proxy answers itself. Beside them: routing and lanes (what calls have in common), turns (large bodies), conversations, asides (what is
no call), model_list.
"""
