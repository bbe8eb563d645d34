"""RUNS. asyncio, clocks, sockets; state that lives as long as the process.

    process/     clock, tasks, log lines, descriptors, certificates
    telemetry/   metrics, the run log, runs on their way to the store
    spending/    hold, send, settle; the ledger and its writer, prices
    state/       live snapshot, one change at a time, standing in for the store and taking it over
    transport/   calls, answers and header fields on their way; the upstream
    calls/       conductor of the data path (request_path.py) and its steps
    releasing/   conductor of the control path (release_commands.py) and the other commands
    workers/     several processes on one host
    reports/     what is read and shown: the reading side that the admin API asks
    providers.py the configured providers;  heartbeat.py what is looked at once a second
    kept_chains.py where chains of responses began, beyond one process
    retention.py what is done to the store every ten minutes

Does not belong here: deciding (core), provider formats (wires), SQL (store), HTTP routes of the admin API (edges). Which room may
import which is a table in tests/test_architecture.py.
"""
