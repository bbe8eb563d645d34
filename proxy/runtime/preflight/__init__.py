"""Looking ahead: the facts by which a release that is certain to fail is known before it serves.

Belongs here: gathering them from settings, prices, wires, caps and recent calls. Does not belong here: what they mean
(core/releasing/preflight.py), and who must ask (runtime/releasing).
"""
