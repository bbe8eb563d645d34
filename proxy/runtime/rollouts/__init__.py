"""Rollouts that judge themselves: the third conductor and its steps.

What belongs here: counting finished runs into evidence, keeping it, carrying decisions out. What does not: statistics and
decisions (core/evidence, core/rollouts), the commands an operator orders (runtime/releasing). It may import releasing, state,
telemetry and process.

    rollout_loop  the conductor: measure -> assess -> decide -> apply, once a tick
    judged        one rollout under judgement: its counter, its clock, its progress
    watched       one label after its candidate was taken away
    applying      what a decision does: the same commands that people order
"""
