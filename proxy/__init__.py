"""Switchback: a sidecar HTTP proxy that routes LLM traffic by version.

A folder says what its code may do; a module imports only downward (held by tests/test_architecture.py):

    cli          the command: serve, demo, simulate, and every admin verb (through the admin API, never the store)
    server       a whole server: which store it has, the order in which its parts start and stop
    worker       a worker's process (`workers: N`), which serves calls and has no store
    control_half what has the store behind it, put together: commands, readers, the admin application's parts
    assembly     what the parts of any process are put together from, and its data half
    data_plane   where calls are taken, from the first call to the last
    judge        the process that judges finished answers by their version's validators
    store_files  checking and restoring a store that no server has open, for the command
    stop_signals what SIGTERM and Ctrl-C do, in each of these processes
    settings     file + environment -> frozen Settings; every problem reported at once, with its path
                 (settings_file: how the file is read)
    edges/       TALKS.      HTTP in: the LLM traffic handler, the admin API. No decisions here
    runtime/     RUNS.       asyncio, clock, sockets: conductors, upstream, spend ledger, recorder, metrics
    wires/       TRANSLATES. Pure: a folder a provider wire; bytes <-> core values
    store/       REMEMBERS.  What is asked of a store by subject, SQLite, numbered migrations
    http1/       FRAMES.     HTTP/1.1 listener and upstream protocols: bytes and limits, nothing of LLMs
    core/        THINKS.     Pure: values in, values out. No clock, no randomness, no I/O, no logging
    simulator/   a provider to run against. Imports nothing of ours, so that it can contradict us

Three conductors tell the story: runtime/calls/request_path.py (identify -> resolve -> guard -> inject -> forward -> meter ->
record), runtime/releasing/release_commands.py (create version -> label -> roll out -> promote or roll back) and
runtime/rollouts/rollout_loop.py (measure -> assess -> decide -> apply).

The modules a call passes through can be compiled (pyproject.toml names them, core/compiled.py says whether they are); what
msgspec declares stands apart from them, in modules of values alone.

Glossary, one word per idea in code, SQL, JSON, metrics and commands:

    agent      a named user of LLMs whose behaviour is versioned
    component  one part of behaviour: prompt, model, tools, retrieval, policy; content-addressed
    version    an immutable numbered bundle of the five components of one agent
    label      a named pointer of one agent to a version; `latest` is reserved
    release    one row of an agent's append-only ledger: every change of what traffic gets
    proposal   a change of a protected label that waits for a second person
    rollout    the gradual move of a label; arm: one side of it (`stable`, `candidate`, or a named variant)
    subject    whom stickiness is about: the user, else the conversation; bucket: its fixed position 0-99,999
    run        one proxied LLM call; attempt: one try of it at a provider; outcome: a later fact about a run
    lane       what calls share that were resolved alike; in the store: what runs share that ended alike
    cap        a spend limit; hold: a reservation against it
    switch     a kill switch entry; guard: a rule of a rollout that can hold or end it
"""

__version__ = "0.1.0"
