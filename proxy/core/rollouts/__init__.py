"""Rollouts: the plan of a gradual move, and the one function that decides what happens to it next.

What belongs here: plans as data, their reading and checking, the decision over (rollout, evidence, time passed). What does not:
statistics (core/evidence), carrying a decision out and storing it (runtime). Values in, values out.

    plan      steps, guards, signals, hard triggers, ends; the default plan
    reading   a plan from a document, every problem named with its place
    members   members of plans, checked by place
    schedule  when a rollout may begin, grow and be promoted
    named_plans  plans under a name
    evidence  what is known of a rollout at one moment, metric by metric
    deciding  decide(): roll back, hold, advance, promote, wait
    telling   the sentences that people read
    rehearsing  a rollout lived through before it begins, over recorded or assumed traffic
    watching  whether it is over once the candidate was taken away
"""
