"""How a command fails: one line on stderr, with --json one JSON object there, and an exit code that scripts can rely on."""

from collections.abc import Sequence
from typing import Any

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3
EXIT_CONFLICT = 4
EXIT_CHANGED = 5
EXIT_UNKNOWN = 6
EXIT_INTERRUPTED = 130
#: What each means, as `switchback help exit-codes` and the README tell it.
EXIT_CODES = {
    0: "done, also where nothing had to be changed",
    EXIT_FAILED: "refused or failed: the server said no, or a file could not be written",
    EXIT_USAGE: "wrong usage: the command line, the settings file, or a file it names that cannot be used",
    EXIT_UNREACHABLE: "the server could not be reached, or did not answer in time; nothing was changed",
    EXIT_CONFLICT: "conflict: somebody else was first; look again and repeat",
    EXIT_CHANGED: "no answer came, but the change was made: the server said so when asked again",
    EXIT_UNKNOWN: "no answer came, and whether the change was made is not known: look before repeating",
    EXIT_INTERRUPTED: "interrupted by Ctrl-C",
}

#: What `code` is with --json where the server gave none.
_OWN_CODES = {
    EXIT_FAILED: "failed",
    EXIT_USAGE: "usage",
    EXIT_UNREACHABLE: "unreachable",
    EXIT_CONFLICT: "conflict",
    EXIT_CHANGED: "changed",
    EXIT_UNKNOWN: "unknown",
}


class CommandFailed(Exception):
    """The command ends here: `message` is for people, without the word error; `code` is the server's stable one.

    `status` is that of the server's answer. `problems`: all of several, of which `message` is the last. `findings`: a
    preflight's.
    """

    def __init__(
        self,
        message: str,
        exit_code: int = EXIT_FAILED,
        code: str | None = None,
        *,
        status: int | None = None,
        problems: Sequence[str] = (),
        findings: Sequence[dict[str, Any]] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
        self.code = code
        self.status = status
        self.problems = tuple(problems) or (message,)
        self.findings = tuple(findings)

    def document(self) -> dict[str, Any]:
        """For programs."""
        code = self.code or _OWN_CODES.get(self.exit_code, "failed")
        found = {"findings": list(self.findings)} if self.findings else {}
        return {"code": code, "message": "; ".join(self.problems), "status": self.status, **found}

    def __str__(self) -> str:
        return self.message if self.code is None else f"{self.message} [{self.code}]"
