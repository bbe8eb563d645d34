"""HTTP out to those who are told of changes: one request a try, to addresses that may be asked.

May import nothing of the other rooms of this floor.
"""
