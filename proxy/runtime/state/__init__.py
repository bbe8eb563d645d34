"""The state traffic is decided on and its changes: live snapshot, one change at a time, standing in while the store is away, and taking it over again.

Not here: what a command means (releasing/). May import process/ and spending/.
"""
