"""How many files a process may have open; thousands of streams need more than the usual soft limit."""

import resource


def raise_file_limit() -> int:
    """Raise the soft limit as far as the hard one allows; the limit now."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
