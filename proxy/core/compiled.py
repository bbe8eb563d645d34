"""Whether the modules a call passes through are compiled, or run as the sources they are.

One fact about the program, for people: `switchback --version` and `GET /status` tell it. Nothing may behave differently for
it. Counterpart: .packaging/compiled.py, which compiles all modules that pyproject.toml lists, or none.
"""

from proxy.core import bucketing

IS_COMPILED = not bucketing.__file__.endswith((".py", ".pyc"))
