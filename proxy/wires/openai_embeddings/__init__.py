"""OpenAI Embeddings, also spoken by many other servers: the wire, requests, the input bound, answers, their shapes.

May import wire.py, json/ and shared/, and no other wire.
"""
