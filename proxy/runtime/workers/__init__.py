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
leases. Calls that no cap touches ask the owner for nothing. Measured with 2 workers and two caps on every call, beside one
process on the same busy machine: 455-540 µs of CPU a call in all processes together against 433-447 (without caps 357-497
against 331-468), of which the owner has 137-165 (60-80): about half of it the store's thread, as in one process. So the owner
is full at some three times what one process serves under caps. Memory: 55 MB a worker (30-34 of them its own), 78 the owner.
"""
