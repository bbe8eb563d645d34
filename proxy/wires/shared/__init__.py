"""What several wires are made of: how a version meets a request, how a stream is cut and read, requests that are alike.

Not here: what one provider alone does. May import wire.py and json/, and no wire.
"""
