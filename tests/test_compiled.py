"""The modules that pyproject.toml names for compiling, by folder or one by one, are ones mypyc compiles to the same behaviour.

That they do behave alike is proved elsewhere: .ci/compiled runs the tests of the data path against the compiled form.
"""

import ast
import builtins
import runpy
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
HOOK: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"][
    "wheel"
]["hooks"]["custom"]
MODULES: list[str] = runpy.run_path(str(ROOT / ".packaging" / "compiled_modules.py"))["compiled_modules"](ROOT, HOOK)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def tree_of(module: str) -> ast.Module:
    return ast.parse((ROOT / module).read_text())


def own_nodes(function: ast.AST) -> list[ast.AST]:
    """What stands in a function, but not in those inside it."""
    found: list[ast.AST] = []
    waiting = list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop()
        found.append(node)
        if not isinstance(node, (*FUNCTIONS, ast.Lambda)):
            waiting += ast.iter_child_nodes(node)
    return found


def test_nothing_is_compiled_unless_asked_for() -> None:
    assert HOOK["enable-by-default"] is False
    assert (ROOT / HOOK["path"]).is_file()


def test_what_is_named_is_there_and_named_once() -> None:
    folders, interpreted, single = HOOK["folders"], HOOK["interpreted"], HOOK["modules"]
    assert [folder for folder in folders if not (ROOT / folder).is_dir()] == []
    assert [module for module in interpreted + single if not (ROOT / module).is_file()] == []
    for names in (folders, interpreted, single):
        assert names == sorted(set(names))
    assert [module for module in interpreted if str(Path(module).parent) not in folders] == []
    assert [module for module in single if str(Path(module).parent) in folders] == []


def test_a_folder_means_its_modules_without_its_charter_and_what_is_interpreted() -> None:
    assert "proxy/http1/pool.py" in MODULES
    assert "proxy/http1/__init__.py" not in MODULES
    assert "proxy/http1/tls.py" not in MODULES
    assert [module for module in HOOK["interpreted"] if module in MODULES] == []


def test_the_module_that_tells_the_form_is_among_them() -> None:
    imported = [node for node in tree_of("proxy/core/compiled.py").body if isinstance(node, ast.ImportFrom)]
    assert [f"{node.module}.{node.names[0].name}".replace(".", "/") + ".py" in MODULES for node in imported] == [True]


@pytest.mark.parametrize("module", MODULES)
def test_a_compiled_module_declares_no_struct(module: str) -> None:
    """mypyc keeps neither the keywords of a class (`frozen=True`) nor the annotations that msgspec reads."""
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.ClassDef):
            assert not any(ast.unparse(base).endswith("Struct") for base in node.bases), f"{module}:{node.lineno}"


@pytest.mark.parametrize("module", MODULES)
def test_a_compiled_module_has_no_asynchronous_generator(module: str) -> None:
    """mypyc does not compile them."""
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.AsyncFunctionDef):
            yields = [inner for inner in own_nodes(node) if isinstance(inner, ast.Yield)]
            assert not yields, f"{module}:{node.lineno} {node.name}"


@pytest.mark.parametrize("module", MODULES)
def test_in_a_compiled_function_exceptions_of_different_types_have_different_names(module: str) -> None:
    """In a coroutine mypyc gives such a name the type of the first one and fails with a TypeError on all others; exceptions
    of Python itself have no type of their own there."""
    for function in ast.walk(tree_of(module)):
        if not isinstance(function, FUNCTIONS):
            continue
        types: dict[str, set[str]] = {}
        for node in own_nodes(function):
            if isinstance(node, ast.ExceptHandler) and node.name is not None and node.type is not None:
                named = {inner.id for inner in ast.walk(node.type) if isinstance(inner, ast.Name)}
                types.setdefault(node.name, set()).add(
                    "Exception" if named <= set(dir(builtins)) else ast.unparse(node.type)
                )
        reused = {name: sorted(found) for name, found in types.items() if len(found) > 1}
        assert not reused, f"{module}:{function.lineno} {function.name}: {reused}"
