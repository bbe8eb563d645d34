"""One module a noun: a checked request in, one command called, its document out.

Not here: admission, authentication, the route table; none of these is imported.
"""
