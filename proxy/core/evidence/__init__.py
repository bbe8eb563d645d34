"""Evidence: counts that add up over processes, and tests of them that stay valid under continuous looking.

What belongs here: sufficient statistics of a rollout's arms, e-values over them, intervals to show, sample sizes to expect.
What does not: what is done about it (core/rollouts), where the counts come from and when they are taken (runtime). Values in,
values out; nothing but the standard library and errors of ours is imported.

    tallies        what is counted: by arm, step, cluster and tick; adds exactly, whoever counted
    bernoulli      T1: rates of bad events, by the exact conditional 2x2 e-value, block by block
    clustering     how much more a rate varies because runs of one user are alike (deff)
    ratio          T2: means and ratios (cost per successful run, tokens, scores), asymptotic
    sample_ratio   whether the arms got the users that their shares promise
    weighing       several metrics as one verdict, and which of them is the cause
"""
