"""Reports: what an agent's runs come to, by version and arm, and how two of them differ.

What belongs here: sums of runs that add over hours and processes, the figures people read (rates with counts and intervals,
quantiles, money, outcomes), the comparison of two sides. What does not: whether a run is bad (core/rollouts/measuring), the tests
themselves (core/evidence), where sums are kept (store). Values in, values out.

    sums       the sums of one cell, how they add, and as they are kept
    alike      runs of one lane, agent and hour, added up one after the other
    counting   runs as they were recorded, into cells
    figures    a cell's sums as figures with intervals
    comparing  one side against another, block by block
    reporting  cells as the rows of a report
"""
