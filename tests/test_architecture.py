"""Architecture is a promise: who may import whom, what each layer may touch, how large a file or a room may grow.

The table is design's; a failure says which rule was broken and why it stands.
"""

import ast
from functools import cache
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
    # The reading side of runtime is asked, never the store.
    "edges": {"core", "runtime"},
    "settings": {"core", "bound_settings", "settings_file", "webhook_settings"},
    "bound_settings": set(),
    "webhook_settings": {"core"},
    # The part of the composition root that tells others of changes.
    "webhook_parts": {"core", "store", "runtime", "edges", "settings", "webhook_settings"},
    "settings_file": {"core"},
    # How a process is told to stop, whichever one it is.
    "stop_signals": set(),
    "data_plane": {"core", "http1", "runtime"},
    # What a whole server and a worker have in common: no store, no admin API.
    "assembly": {"core", "data_plane", "http1", "wires", "runtime", "settings", ""},
    # What judges answers has its wires, and nothing to do with calls.
    "judge": {"core", "wires", "runtime"},
    # The store's files beside the database, and no concrete store.
    "control_half": {"assembly", "store", "runtime", "edges", "settings", "webhook_parts"},
    # A worker cannot touch the store: its owner alone does.
    "worker": {"core", "assembly", "data_plane", "runtime", "settings", "stop_signals"},
    "server": {
        "core",
        "assembly",
        "control_half",
        "data_plane",
        "http1",
        "store",
        "runtime",
        "edges",
        "settings",
        "stop_signals",
        # What its first workers are forked to run.
        "worker",
        "",
    },
    # Looking through a store, and restoring one, while no server has it.
    "store_files": {"core", "store", "settings"},
    "cli": {"core", "settings", "settings_file", "server", "store_files", "simulator", "stop_signals", ""},
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
#: The modules that stand in a floor's own folder, for everybody there, unless the floor's table has a row for one by its name.
GROUND = ""
_CORE_BELOW_CALLS = {GROUND, "versions", "spending", "snapshot", "releasing"}
_A_WIRE_MAY_IMPORT = {"wire", "json", "shared"}
#: floor -> room -> rooms of the same floor it may import (itself is always allowed). A room is a folder, or a module that stands
#: in the floor's own folder with rules of its own. What is not named is forbidden: a new room needs its charter and its row.
ROOMS: dict[str, dict[str, set[str]]] = {
    "core": {
        GROUND: set(),
        "versions": {GROUND},
        "spending": {GROUND},
        "snapshot": {GROUND, "versions", "spending"},
        "releasing": {GROUND, "versions", "spending", "snapshot"},
        "calls": _CORE_BELOW_CALLS,
        "proof": _CORE_BELOW_CALLS,
        "evidence": {GROUND},
        "webhooks": {GROUND, "proof"},
        "rollouts": {GROUND, "calls", "releasing", "snapshot", "spending", "evidence"},
        "reports": {GROUND, "calls", "releasing", "evidence", "rollouts"},
    },
    "wires": {
        "wire": set(),
        "json": set(),
        "every_wire": {
            "wire",
            "shared",
            "openai_chat",
            "openai_responses",
            "openai_embeddings",
            "openai_completions",
            "anthropic_messages",
            "google_gemini",
        },
        "deployments": {"wire", "json"},
        "dialects": {"wire", "json"},
        "families": {"wire"},
        "cache_writes": {"json"},
        "key_owners": {"families", "wire"},
        "model_list": {"json"},
        "passed_bodies": {"wire", "json", "shared"},
        "passed_forms": {"wire"},
        "passed_streams": {"wire", "shared"},
        "shared": {"wire", "json"},
        "openai_chat": _A_WIRE_MAY_IMPORT,
        "openai_responses": _A_WIRE_MAY_IMPORT,
        "openai_embeddings": _A_WIRE_MAY_IMPORT,
        "openai_completions": _A_WIRE_MAY_IMPORT,
        "anthropic_messages": _A_WIRE_MAY_IMPORT,
        "google_gemini": _A_WIRE_MAY_IMPORT,
    },
    "store": {
        "ports": set(),
        "rows": set(),
        "files": {"rows"},
        "sqlite": {"ports", "rows", "sqlite/opening", "sqlite/statements", "sqlite/runs"},
        "sqlite/opening": set(),
        "sqlite/statements": {"rows"},
        "sqlite/runs": {"ports", "rows", "sqlite/statements"},
    },
    "runtime": {
        "process": set(),
        "providers": set(),
        "telemetry": {"process"},
        "spending": {"process", "providers"},
        "validation": {"telemetry", "process"},
        "state": {"process", "spending"},
        # Of retention it has to name what a round did.
        "releasing": {"state", "telemetry", "process", "retention", "validation"},
        "rollouts": {"releasing", "state", "telemetry", "process"},
        "preflight": {"calls", "spending", "state", "telemetry", "providers"},
        "transport": {"providers"},
        "calls": {"transport", "spending", "state", "telemetry", "process", "providers", "validation"},
        "own_calls": {"calls", "transport", "spending", "state", "telemetry", "process", "providers", "validation"},
        "workers": {"calls", "spending", "state", "telemetry", "process", "validation"},
        "reports": {"calls", "workers", "spending", "state", "telemetry", "process", "providers"},
        "webhooks": {"telemetry", "process"},
        # What is looked at once a second, wherever it is.
        "kept_chains": {"calls", "process"},
        "heartbeat": {"spending", "state", "telemetry", "process"},
        # What is done to the store every ten minutes.
        "retention": {"process"},
    },
    "edges": {
        "admin": {"admin/handlers", "admin/answers", "admin/contract"},
        "admin/handlers": {"admin", "admin/answers"},
        "admin/answers": set(),
        "webhooks": set(),
        "admin/contract": {"admin/answers"},
    },
}
#: floor, room, other room -> the modules of the other that it may import, where not all of them are for it
ONLY_THESE = {
    # A worker shares arms of conversations with others; how a call goes its way is not its matter.
    ("runtime", "workers", "calls"): {"proxy.runtime.calls.conversations"},
    ("runtime", "kept_chains", "calls"): {"proxy.runtime.calls.conversations"},
    # What is shown of calls is how many conversations were forgotten.
    ("runtime", "reports", "calls"): {"proxy.runtime.calls.conversations"},
    # And of workers how each of them is.
    ("runtime", "reports", "workers"): {"proxy.runtime.workers.supervisor"},
    # A handler has what reading left of a request and answers it; who may ask and which path leads here was settled before.
    ("edges", "admin/handlers", "admin"): {
        f"proxy.edges.admin.{name}"
        for name in ("ask_and_answer", "bodies", "pages", "problems", "queries", "streaming")
    },
}
#: What stands in front of the handlers does not know them, but for the table that leads to them.
KNOW_HANDLERS = {PACKAGE / "edges" / "admin" / name for name in ("routes.py", "admin_app.py")}
#: runtime and edges see stores and wires as protocols; only the composition root knows concrete ones
PROTOCOLS = {
    "store": ("proxy.store.ports",),
    "wires": (
        "proxy.wires.wire",
        "proxy.wires.model_list",
        "proxy.wires.families",
        "proxy.wires.key_owners",
        "proxy.wires.passed_bodies",
        "proxy.wires.passed_forms",
        "proxy.wires.passed_streams",
        "proxy.wires.cache_writes",
        "proxy.wires.deployments",
        "proxy.wires.dialects",
    ),
}
#: runtime meets http1 in one module
ONLY_UPSTREAM_MAY_IMPORT_HTTP1 = PACKAGE / "runtime" / "transport" / "upstream.py"
#: The modules that tell what the proxy does, read from top to bottom.
CONDUCTORS = [
    PACKAGE / "runtime" / "calls" / "request_path.py",
    PACKAGE / "runtime" / "releasing" / "release_commands.py",
    PACKAGE / "runtime" / "rollouts" / "rollout_loop.py",
]
MAX_ROOM_MODULES = 18
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 70


@cache
def tree_of(path: Path) -> ast.Module:
    """What a module is made of, read once."""
    return ast.parse(path.read_text())


def layer_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return "" if relative.name == "__init__.py" and len(relative.parts) == 1 else relative.parts[0].removesuffix(".py")


def layer_of_module(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


@cache
def imports_of(path: Path) -> list[tuple[str, ast.stmt]]:
    found: list[tuple[str, ast.stmt]] = []
    for node in ast.walk(tree_of(path)):
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
        if target in PROTOCOLS:
            assert any(f"{module}.".startswith(f"{protocol}.") for protocol in PROTOCOLS[target]), (
                f"{named(path)}:{node.lineno}: {module} is concrete; take it as one of {PROTOCOLS[target]} from the composition root"
            )
        if target == "http1":
            assert path == ONLY_UPSTREAM_MAY_IMPORT_HTTP1, (
                f"{named(path)}:{node.lineno}: only runtime/transport/upstream.py meets http1"
            )


def room_of(path: Path) -> str:
    """The room a module of a floor with rooms is in; the one with the longest name, as rooms stand in rooms."""
    floor, *within = path.relative_to(PACKAGE).with_suffix("").parts
    names = ["/".join(within[:length]) for length in range(len(within), 0, -1)]
    return next((name for name in names if name in ROOMS[floor]), GROUND)


def module_path(module: str) -> Path:
    place = ROOT.joinpath(*module.split("."))
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


def is_in_a_room(path: Path) -> bool:
    parts = path.relative_to(PACKAGE).parts
    return parts[0] in ROOMS and parts[1:] != ("__init__.py",)


@pytest.mark.parametrize("path", [p for p in FILES if is_in_a_room(p)], ids=named)
def test_a_room_imports_only_the_rooms_its_row_names(path: Path) -> None:
    floor, room = layer_of(path), room_of(path)
    assert room in ROOMS[floor], (
        f"{named(path)}: no room of {floor} has a row for it; choose one, or give it charter and row"
    )
    for module, node in imports_of(path):
        if layer_of_module(module) != floor or not module.startswith("proxy."):
            continue
        target = room_of(module_path(module))
        where = f"{named(path)}:{node.lineno}"
        assert target == room or target in ROOMS[floor][room], (
            f"{where}: {floor}/{room} may not import {floor}/{target}; it may import {sorted(ROOMS[floor][room])}"
        )
        allowed = ONLY_THESE.get((floor, room, target))
        assert allowed is None or module in allowed, (
            f"{where}: of {target} {room} may import only {sorted(allowed or ())}"
        )
        if (floor, target) == ("edges", "admin/handlers") and room != target:
            assert path in KNOW_HANDLERS, f"{where}: only routes.py and admin_app.py know the handlers"


@pytest.mark.parametrize("floor", ROOMS)
def test_rooms_and_their_rows_are_the_same_and_every_folder_has_a_charter(floor: str) -> None:
    folders = {path.parent for path in FILES if layer_of(path) == floor} - {PACKAGE / floor}
    rooms = {folder.relative_to(PACKAGE / floor).as_posix() for folder in folders}
    modules = {path.stem for path in (PACKAGE / floor).glob("*.py")} - {"__init__"}
    assert rooms <= set(ROOMS[floor]), f"{floor}: a row of ROOMS for each folder"
    assert set(ROOMS[floor]) - {GROUND} <= rooms | modules, f"{floor}: ROOMS names a room that is not there"
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_no_two_rooms_may_import_each_other_but_admin_and_its_handlers() -> None:
    both = [
        (floor, *sorted((room, other)))
        for floor, rooms in ROOMS.items()
        for room, targets in rooms.items()
        for other in targets
        if room in rooms[other]
    ]
    assert set(both) == {("edges", "admin", "admin/handlers")}


@pytest.mark.parametrize("floor", ROOMS)
def test_a_room_can_be_overlooked(floor: str) -> None:
    sizes: dict[Path, int] = {}
    for path in FILES:
        if layer_of(path) == floor and path.name != "__init__.py":
            sizes[path.parent] = sizes.get(path.parent, 0) + 1
    large = {named(folder): size for folder, size in sizes.items() if size > MAX_ROOM_MODULES}
    assert large == {}, "which two subjects live in it?"


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


#: The command starts fast; what judges answers has a library that need not be installed.
IMPORTS_WHEN_NEEDED = ("cli", "judge")
SCHEMAS = PACKAGE / "runtime" / "validation" / "schemas.py"


@pytest.mark.parametrize(
    "path", [p for p in FILES if layer_of(p) not in IMPORTS_WHEN_NEEDED and p != SCHEMAS], ids=named
)
def test_imports_stand_at_the_top_except_where_they_wait_for_a_need(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for inner in ast.walk(node):
                assert not isinstance(inner, ast.Import | ast.ImportFrom), (
                    f"{named(path)}:{inner.lineno}: import at the top"
                )


@pytest.mark.parametrize("path", FILES, ids=named)
def test_every_module_says_what_lives_there(path: Path) -> None:
    assert ast.get_docstring(tree_of(path)), f"{named(path)}: no docstring"


@pytest.mark.parametrize("path", FILES, ids=named)
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= MAX_FILE_LINES, f"{named(path)}: which two things live in it?"
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name != "__init__":
            # A command's options are its signature; what is counted is what it does.
            size = (node.end_lineno or node.lineno) - node.body[0].lineno + 1
            assert size <= MAX_FUNCTION_LINES, f"{named(path)}:{node.lineno} {node.name}: {size} lines"


@pytest.mark.parametrize("path", CONDUCTORS, ids=named)
def test_a_conductor_is_told_by_its_steps_what_there_is_and_assumes_nothing(path: Path) -> None:
    assumed = [f"{named(path)}:{node.lineno}" for node in ast.walk(tree_of(path)) if isinstance(node, ast.Assert)]
    assert assumed == [], "a step returns what the next one needs"


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
