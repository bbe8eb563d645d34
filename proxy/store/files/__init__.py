"""Files kept beside the store: the emergency journal and the last known good state.

Not here: when they are written (runtime/state). May import core and rows/.
"""
