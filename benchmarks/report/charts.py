"""Bar charts as SVG, drawn by hand: a title, a bar per row, its value at the end. Readable on light and dark pages."""

import math
from html import escape

_WIDTH = 720
_LEFT = 110
_BAR = 20
_STEP = 28
_TOP = 44
_OWN, _OTHER = "#1f6feb", "#9aa4b2"


def bar_chart(
    title: str, unit: str, rows: list[tuple[str, float]], *, highlight: str, logarithmic: bool = False
) -> str:
    """One chart; rows are name and value, in the order given. On a logarithmic scale the bars begin a decade below."""
    largest = max((value for _, value in rows), default=1.0) or 1.0
    positive = [value for _, value in rows if value > 0]
    floor = 10 ** (math.floor(math.log10(min(positive))) - 0.5) if logarithmic and positive else 0.0
    room = _WIDTH - _LEFT - 110
    height = _TOP + _STEP * len(rows) + 22
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" '
        'role="img" font-family="system-ui, sans-serif" font-size="13">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="26" font-size="15" font-weight="600" fill="#1c2128">{escape(title)}</text>',
    ]
    for number, (name, value) in enumerate(rows):
        y = _TOP + number * _STEP
        length = max(2.0, room * _share(value, largest, floor))
        colour = _OWN if name == highlight else _OTHER
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 15}" text-anchor="end" fill="#1c2128">{escape(name)}</text>')
        parts.append(f'<rect x="{_LEFT}" y="{y}" width="{length:.1f}" height="{_BAR}" rx="2" fill="{colour}"/>')
        parts.append(f'<text x="{_LEFT + length + 6:.1f}" y="{y + 15}" fill="#1c2128">{_shown(value)}</text>')
    scale = f"{unit}, logarithmic scale" if logarithmic else unit
    parts.append(f'<text x="{_LEFT}" y="{height - 8}" font-size="11" fill="#57606a">{escape(scale)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _share(value: float, largest: float, floor: float) -> float:
    if not floor:
        return max(0.0, value) / largest
    if value <= floor:
        return 0.0
    return (math.log10(value) - math.log10(floor)) / (math.log10(largest) - math.log10(floor))


def _shown(value: float) -> str:
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"
