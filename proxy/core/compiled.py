"""Whether the modules a call passes through are compiled, or run as the sources they are.

One fact about the program, for people: `switchback --version` and `GET /status` tell it. Nothing may behave differently for
it. Counterpart: .packaging/compiled.py, which compiles all modules that pyproject.toml lists, or none.

Decision: values that each call makes anew, and that go nowhere else, are dataclasses that write out their `__init__`
(core/calls/caller.py, wires/wire.py, ...). Compiled, making one then takes 60 ns and reading a member 5; of a struct 110 and 55, and
a dataclass's own `__init__` stays interpreted and takes 600. In all it is 6 us of a call.
"""

from proxy.core import bucketing

IS_COMPILED = not bucketing.__file__.endswith((".py", ".pyc"))
