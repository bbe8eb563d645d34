"""Whether two names mean the same model, as people see them: as asked for, as answered, dated, with its provider, in any case.

Pure. A provider answers `small-4` as `small-4-2024-07-18`, and lists show either; whoever names one of them in a switch or a
cap means both. Two different dates are two models.
"""

import re
from functools import lru_cache
from typing import Final

#: What stands behind a model's name to say which issue of it: a date (three spellings), or the newest.
_ISSUE: Final = re.compile(r"(?:[-@:](?:\d{4}-\d{2}-\d{2}|\d{8}|latest))\Z")


@lru_cache(maxsize=4096)
def means_model(named: str, provider: str, model: str) -> bool:
    """Whether `named`, in a scope, means `model` of `provider`; an empty model is none.

    `provider/model` means that provider's only; a model that has a slash of its own is also met by what stands behind it.
    """
    if not model:
        return False
    named, provider, model = named.casefold(), provider.casefold(), model.casefold()
    names = {model, model.rpartition("/")[2], f"{provider}/{model}"}
    return any(_is_alike(named, name) for name in names)


def _is_alike(named: str, name: str) -> bool:
    if named == name:
        return True
    base, other = _ISSUE.sub("", named), _ISSUE.sub("", name)
    if base != other:
        return False
    # One of them says no date: it means whichever issue is served.
    return _is_open(named, base) or _is_open(name, other)


def _is_open(name: str, base: str) -> bool:
    return name == base or name.endswith("latest")
