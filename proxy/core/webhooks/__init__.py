"""What outside programs are told when something changes: events, how they are signed, when they are tried again.

Belongs here: which changes are events, what is sent, its signature, the times of tries. Does not belong here: sending it
(edges/webhooks), keeping it until it is delivered (runtime/webhooks). May import the ground and proof.
"""
