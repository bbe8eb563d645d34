"""A catalogue of attacks and faults, said again at random to the real command: `python -m benchmarks.hostile`.

Each module but `product`, `traffic`, `disk`, `figures` is one attack: `async def attack(trial)` returns the bars it reached. Nothing here looks
into the process under test: what counts is what clients were answered, what the provider received, and what the files say.
Rows of raw requests, clients and providers come from tests/hostile.
"""
