"""How a command fails: one line on stderr and an exit code that scripts can rely on.

0  done, also where nothing had to be changed
1  refused or failed: the server said no, or a file could not be written
2  wrong usage: the command line, the settings file, or a file it names that cannot be used
3  the server could not be reached, or did not answer in time
4  conflict: somebody else was first; look again and repeat
130  interrupted by Ctrl-C
"""

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3
EXIT_CONFLICT = 4
EXIT_INTERRUPTED = 130


class CommandFailed(Exception):
    """The command ends here: `message` is for people, without the word error; `code` is the server's stable one."""

    def __init__(self, message: str, exit_code: int = EXIT_FAILED, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
        self.code = code

    def __str__(self) -> str:
        return self.message if self.code is None else f"{self.message} [{self.code}]"
