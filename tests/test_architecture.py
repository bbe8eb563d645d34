"""Architecture is a promise: who may import whom, what each layer may touch, how large a file may grow.

The table is design's; a failure says which rule was broken and why it stands.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "proxy"
FILES = sorted(PACKAGE.rglob("*.py"))

#: layer -> layers of ours it may import (itself is always allowed)
MAY_IMPORT = {
    "core": set(),
    "http1": set(),
    "simulator": set(),
    "wires": {"core"},
    "store": {"core"},
    "runtime": {"core", "wires", "store", "http1"},
    "edges": {"core", "runtime", "store", "wires"},
    "settings": {"core"},
    # How a process is told to stop, whichever one it is.
    "stop_signals": set(),
    # What a whole server and a worker have in common: no store, no admin API.
    "data_plane": {"core", "http1", "wires", "runtime", "settings"},
    # A worker cannot touch the store: its owner alone does.
    "worker": {"core", "data_plane", "runtime", "settings", "stop_signals", ""},
    "server": {"core", "data_plane", "store", "runtime", "edges", "settings", "stop_signals", ""},
    "cli": {"core", "settings", "server", "simulator", "stop_signals", ""},
    "__main__": {"cli"},
    "": set(),
}
#: layer -> modules of others it must not touch, and why
FORBIDDEN = {
    "core": (
        {
            "asyncio",
            "aiohttp",
            "sqlite3",
            "aiosqlite",
            "time",
            "random",
            "secrets",
            "os",
            "logging",
            "socket",
            "pathlib",
            "threading",
        },
        "core decides; clocks, randomness and I/O are passed in as values",
    ),
    "wires": (
        {
            "asyncio",
            "aiohttp",
            "sqlite3",
            "aiosqlite",
            "time",
            "random",
            "secrets",
            "os",
            "logging",
            "socket",
            "pathlib",
            "threading",
        },
        "wires translate bytes; they never wait",
    ),
    "http1": ({"aiohttp", "orjson", "msgspec", "sqlite3", "aiosqlite"}, "http1 frames bytes and knows nothing of LLMs"),
    "runtime": (
        {"aiohttp", "sqlite3", "aiosqlite", "httptools"},
        "runtime speaks HTTP and SQL only through http1 and store",
    ),
    "edges": ({"sqlite3", "aiosqlite", "httptools"}, "edges parse, call one command and render"),
}
#: runtime and edges see stores and wires as protocols; only the composition root knows concrete ones
PROTOCOL_MODULES = {"store": {"proxy.store.ports.store"}, "wires": {"proxy.wires.wire", "proxy.wires.model_list"}}
#: runtime meets http1 in one module
ONLY_UPSTREAM_MAY_IMPORT_HTTP1 = PACKAGE / "runtime" / "upstream.py"

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 70


def layer_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return "" if relative.name == "__init__.py" and len(relative.parts) == 1 else relative.parts[0].removesuffix(".py")


def layer_of_module(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def imports_of(path: Path) -> list[tuple[str, ast.stmt]]:
    found: list[tuple[str, ast.stmt]] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, node) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative imports hide layers"
            # `from package import module` is an import of the module.
            found += [(_submodule(node.module or "", alias.name), node) for alias in node.names]
    return found


def _submodule(package: str, name: str) -> str:
    candidate = ROOT.joinpath(*package.split("."), name)
    is_module = candidate.with_suffix(".py").exists() or (candidate / "__init__.py").exists()
    return f"{package}.{name}" if package.startswith("proxy") and is_module else package


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=named)
def test_a_module_imports_only_downward(path: Path) -> None:
    layer = layer_of(path)
    for module, node in imports_of(path):
        if module.split(".")[0] != "proxy":
            continue
        target = layer_of_module(module)
        assert target == layer or target in MAY_IMPORT[layer], (
            f"{named(path)}:{node.lineno}: {layer or 'the package'} may not import {target}; it may import {sorted(MAY_IMPORT[layer])}"
        )


@pytest.mark.parametrize("path", FILES, ids=named)
def test_a_layer_touches_only_what_its_charter_allows(path: Path) -> None:
    forbidden, why = FORBIDDEN.get(layer_of(path), (set(), ""))
    for module, node in imports_of(path):
        assert module.split(".")[0] not in forbidden, f"{named(path)}:{node.lineno}: no {module} here: {why}"


@pytest.mark.parametrize("path", [p for p in FILES if layer_of(p) in ("runtime", "edges")], ids=named)
def test_runtime_and_edges_see_stores_and_wires_only_as_protocols(path: Path) -> None:
    for module, node in imports_of(path):
        target = layer_of_module(module) if module.startswith("proxy.") else ""
        if target in PROTOCOL_MODULES:
            assert module in PROTOCOL_MODULES[target], (
                f"{named(path)}:{node.lineno}: {module} is concrete; take it as a {PROTOCOL_MODULES[target]} from the composition root"
            )
        if target == "http1":
            assert path == ONLY_UPSTREAM_MAY_IMPORT_HTTP1, (
                f"{named(path)}:{node.lineno}: only runtime/calls/upstream.py meets http1"
            )


@pytest.mark.parametrize("path", [p for p in FILES if layer_of(p) == "wires"], ids=named)
def test_wires_do_not_import_each_other(path: Path) -> None:
    families = ("openai_chat", "anthropic_messages")
    own = next((family for family in families if path.stem.startswith(family)), None)
    for module, node in imports_of(path):
        for family in families:
            if module.startswith(f"proxy.wires.{family}"):
                assert family == own, f"{named(path)}:{node.lineno}: a wire must not know another one"


def test_the_import_graph_has_no_cycle() -> None:
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}
    graph = {name: {module for module, _ in imports_of(path) if module in names} for name, path in names.items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, "import cycle: " + " -> ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for target in graph[name]:
                visit(target, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("path", [p for p in FILES if layer_of(p) != "cli"], ids=named)
def test_imports_stand_at_the_top_except_in_the_command_line(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for inner in ast.walk(node):
                assert not isinstance(inner, ast.Import | ast.ImportFrom), (
                    f"{named(path)}:{inner.lineno}: import at the top"
                )


@pytest.mark.parametrize("path", FILES, ids=named)
def test_every_module_says_what_lives_there(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), f"{named(path)}: no docstring"


@pytest.mark.parametrize("path", FILES, ids=named)
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= MAX_FILE_LINES, f"{named(path)}: which two things live in it?"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name != "__init__":
            # A command's options are its signature; what is counted is what it does.
            size = (node.end_lineno or node.lineno) - node.body[0].lineno + 1
            assert size <= MAX_FUNCTION_LINES, f"{named(path)}:{node.lineno} {node.name}: {size} lines"


@pytest.mark.parametrize("path", FILES, ids=named)
def test_no_module_has_a_name_that_says_nothing(path: Path) -> None:
    assert path.stem not in {
        "utils",
        "helpers",
        "common",
        "misc",
        "manager",
        "base",
        "handlers",
        "types",
        "models",
    } or (layer_of(path) == "simulator" and path.stem == "models"), f"{named(path)}: name it for what lives there"
