"""What people order: the conductor of the control path (release_commands.py), the other commands, and the rows a change makes.

Not here: opening a change (state/), deciding (core). May import state/, telemetry/ and process/.
"""
