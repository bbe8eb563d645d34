"""What the description is made of beside bodies and answers: schemas of types, parameters, refusals, the paths without a token.

Not here: the route table and what reads it (openapi.py). Nothing of admin but answers/ is imported.
"""
