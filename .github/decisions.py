"""The index of decisions: every paragraph of a module's docstring that begins with "Decision", by module. `python .github/decisions.py`"""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("proxy", "benchmarks", "tests")


def decisions() -> dict[str, list[str]]:
    """Paragraphs by the path of their module, as they stand there but in one line."""
    found: dict[str, list[str]] = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
            paragraphs = [" ".join(text.split()) for text in docstring.split("\n\n")]
            told = [text for text in paragraphs if text.startswith("Decision")]
            if told:
                found[str(path.relative_to(ROOT))] = told
    return found


def index() -> str:
    """As Markdown."""
    lines = ["# Decisions", ""]
    for path, told in decisions().items():
        lines += [f"## {path}", "", *(f"- {text.partition(':')[2].strip()}" for text in told), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(index())
