"""How statements are put together whatever they are about: many rows at once, by key, page by page.

Not here: the SQL of any entity. May import rows/ alone.
"""
