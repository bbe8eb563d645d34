"""What a process is made of: clock, tasks, lines of its log, descriptors, garbage, certificates, the first token.

Not here: anything of calls or releases. May import nothing else of runtime.
"""
