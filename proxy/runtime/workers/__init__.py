"""Several processes on one host: one owner of store, ledger and admin API, and workers that only serve calls.

    frames, messages, link      the socket between an owner and one worker: bytes, values, sending and receiving
    supervisor, program         the owner: starts, watches and restarts workers, tells all of them, asks all of them
    owner_end                   the owner: serves one worker; pushes snapshots, decides holds, records runs
    worker_leases               the owner: what it has lent to one worker, so that calls need not ask for their holds
    owner_client, remote_ledger a worker: what it asks of the owner, in the shapes the data path knows
    shared_conversations, merged_metrics, traffic_port   what all of them have in common

Not here: the data path itself (request_path does not know how many processes there are), and the composition of a worker
(`proxy/worker.py`). With one process nothing of this is used.

Decision: the owner lends workers parts of its own spend leases, at most half of each, and lends nothing where a worker's fair
share would be less than one hold or the limit is near; all other calls ask the owner, which decides by the same check-and-add
as one process. Nobody waits under a large cap, a small one is filled to the last call, and a call is refused only after
everybody has given back what is lent (a worker that does not answer within a quarter of a second aside). The price: a worker
that is killed is charged for what it had left, about four times what it held in a twentieth of a second and never more than a
128th of the limit, because calls it had not told of yet may have used it. Not taken: telling of every hold before its call is
sent, which would make that exact for one more write to the socket, and one more waking of the owner, per call.

64 calls at once of one worker under two caps, with commits that take 2 ms: a call waits 4 us (p99 30) where asking for each
took 1.2 ms (p99 2.3), the owner's CPU is 9 us per call instead of 17, the worker's the same (10 to 15). Measured on a machine
shared with others. Memory after a few dozen calls, resident and of that unshared: 52 and 34 MB a worker, 71 and 49 MB the owner.
"""
