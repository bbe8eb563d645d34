"""The build hook that compiles the data path: the same sources, translated to C by mypyc and built as extension modules.

Off unless `HATCH_BUILD_HOOKS_ENABLE=1`; then a wheel has an extension module beside each module that pyproject.toml means, which
Python imports instead, and is for one platform and one Python. Nothing is written into the source tree, and a compilation that
fails ends the build: it is never a pure wheel that looks like a compiled one.
"""

import os
import runpy
import subprocess
import sys
from pathlib import Path
from shutil import copytree, ignore_patterns
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

#: The build imports this file alone, by its path.
_compiled_modules = runpy.run_path(str(Path(__file__).with_name("compiled_modules.py")))["compiled_modules"]
#: What comes from our dependencies has no type, which is no error, and is so whether or not they are installed where this runs:
#: the same sources must always become the same code. (A msgspec.Raw, for one, is no bytes, whatever its stub says.)
_MYPY_OPTIONS = ["--config-file=", "--no-site-packages", "--ignore-missing-imports", "--follow-imports=silent"]
_SETUP = """
import sys
from mypyc.build import mypycify
from setuptools import setup
modules = mypycify(sys.argv[1:], opt_level="3", debug_level="0", group_name="switchback")
setup(name="switchback", py_modules=[], ext_modules=modules, script_args=["build_ext", "--inplace"])
"""
_ADVICE = (
    "the data path could not be compiled; the output above says why. It takes a C compiler and Python's headers "
    "(apt-get install gcc libc6-dev python3-dev); without HATCH_BUILD_HOOKS_ENABLE the same sources install uncompiled"
)


class CompiledDataPath(BuildHookInterface[Any]):
    """Adds the extension modules to a wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it packs. Raises RuntimeError where there is nothing compiled to pack."""
        if version == "editable":
            raise RuntimeError("an editable install runs the sources: unset HATCH_BUILD_HOOKS_ENABLE, or leave out -e")
        # Has to last until the wheel is packed.
        self._folder = TemporaryDirectory(prefix="switchback-compiled-")
        place = Path(self._folder.name)
        copytree(Path(self.root, "proxy"), place / "proxy", ignore=ignore_patterns("__pycache__"))
        _compile(place, _compiled_modules(place, self.config))
        for library in place.rglob("*.so"):
            if "build" not in library.relative_to(place).parts:
                build_data["force_include"][str(library)] = str(library.relative_to(place))
        build_data["infer_tag"] = True
        build_data["pure_python"] = False

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Called by hatchling once the wheel is packed."""
        self._folder.cleanup()


def _compile(place: Path, modules: list[str]) -> None:
    command = [sys.executable, "-c", _SETUP, *_MYPY_OPTIONS, *modules]
    # The interpreter's own flags may ask for debug symbols and for warnings, about code that nobody wrote.
    environment = os.environ | {"CFLAGS": os.environ.get("CFLAGS", "") + " -g0 -w"}
    done = subprocess.run(command, cwd=place, env=environment, stdout=sys.stderr, check=False)  # noqa: S603 (all of it is ours)
    if done.returncode != 0:
        raise RuntimeError(_ADVICE)
