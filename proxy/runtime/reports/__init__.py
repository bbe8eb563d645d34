"""What is read and shown, and changes nothing: the reading side that the admin API asks, a reader a subject.

Belongs here: looking a single thing up by its key, a page of a list, what several rooms know of one thing put together. Does not
belong here: what changes anything (releasing), how an answer is written (edges), SQL. May import state, spending, telemetry,
workers, providers, process, and of calls its conversations.

    agents      agents and their labels, also archived ones
    versions    versions, and which of them a label served at a moment
    releases    releases, rollouts, proposals
    runs        runs with their attempts and outcomes, one by one, by page, and all of them
    run_reports what an agent's runs come to, by version and arm, and how two versions differ
    audit       the audit log, its proof, what became of a change
    limits      switches, caps and what they have counted
    tokens      tokens and when they were last used
    process     how this process is, and whether it takes calls
    scrape      what /metrics shows
"""
