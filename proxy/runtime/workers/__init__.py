"""Several processes on one host: one owner of store, ledger and admin API, and workers that only serve calls.

    frames, messages, link      the socket between an owner and one worker: bytes, values, sending and receiving
    supervisor, program         the owner: starts, watches and restarts workers, tells all of them, asks all of them
    owner_end                   the owner: serves one worker; pushes snapshots, decides holds, records runs
    owner_client, remote_ledger a worker: what it asks of the owner, in the shapes the data path knows
    shared_conversations, merged_metrics, traffic_port   what all of them have in common

Not here: the data path itself (request_path does not know how many processes there are), and the composition of a worker
(`proxy/worker.py`). With one process nothing of this is used.

Decision: the owner decides every hold, call by call, instead of leasing budgets. A hard cap then holds for any number of
workers by the same check-and-add as in one process, a dead worker's holds are known exactly, and nothing is stranded in
leases. Calls that no cap touches ask the owner for nothing. The price: a capped call crosses the link twice, and the owner's
one core bounds how many capped calls all workers serve together, however many they are. No figure is given for that: none
was measured on a machine of its own. Memory after a few dozen calls, resident and of that unshared: 52 and 34 MB a worker, 71
and 49 MB the owner.
"""
