"""What the admin API answers where that is more than one of core's documents: a module a subject, types without behaviour.

A handler's return type names what it answers; the description is made of that (openapi.py), so that there is one declaration.
Only core, and what runtime itself shows of its parts, is imported.
"""
