"""Google Gemini: the wire, its paths, requests, the input bound, answers, their shapes, and lists that are streams.

May import wire.py, json/ and shared/, and no other wire.
"""
