"""Google Gemini: the wires of text and of embeddings, their paths, requests, the input bound, answers, and lists that are streams.

May import wire.py, json/ and shared/, and no other wire.
"""
