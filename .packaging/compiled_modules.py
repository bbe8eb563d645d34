"""Which modules are compiled, from what pyproject.toml says of them: whole folders, but for some of their modules, and single ones.

Apart from the build hook, so that tests read the same list without the build's own dependencies.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path


def compiled_modules(root: Path, hook: Mapping[str, Sequence[str]]) -> list[str]:
    """The paths below `root`, sorted. `hook` has `folders` (all their modules but `__init__`, not those of folders inside),
    `interpreted` (of these, the ones that are not compiled) and `modules` (others that are)."""
    found = {
        str(path.relative_to(root))
        for folder in hook["folders"]
        for path in (root / folder).glob("*.py")
        if path.name != "__init__.py"
    }
    return sorted((found - set(hook["interpreted"])) | set(hook["modules"]))
