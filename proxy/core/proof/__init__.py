"""What can be proved and repeated afterwards: the audit log, the rows it speaks about, emergency orders, the last known good state.

Not here: the files and tables these are kept in (store). May import every room of core but calls.
"""
