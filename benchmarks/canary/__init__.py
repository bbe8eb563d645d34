"""How often the rollout controller is wrong, and how fast it is right: its own decision code in simulated worlds."""
