"""Takes one machine's picture out of a run's `report.html` as an SVG file of its own.

README's picture was made so: `fleetwin run demo --out out`, then
`python -m benchmarks.picture out/report.html pump-008 docs/images/pump.svg`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path


def picture(page: str, device_id: str) -> str:
    """Return the machine's SVG with the page's colours put in; raises ValueError without one."""
    found = re.search(
        rf"<figcaption>{re.escape(device_id)}:.*?(<svg .*?</svg>)", page, flags=re.DOTALL
    )
    if found is None:
        raise ValueError(f"the page has no picture of {device_id}")
    svg = found[1]
    for name, colour in re.findall(r"--([a-z]+):\s*(#[0-9a-f]{6})", page):
        # The first definition of a name is that of the light page; later ones find none left.
        svg = re.sub(rf"var\(--{name}(,[^)]*)?\)", colour, svg)
    size = re.search(r'viewBox="0 0 (\d+) (\d+)"', svg)
    if size is None:
        raise ValueError(f"the picture of {device_id} has no size")
    # Outside of the page the picture brings its own ground and font.
    ground = f'<rect width="{size[1]}" height="{size[2]}" fill="#ffffff"/>'
    head, _, rest = svg.partition(">")
    own = ' xmlns="http://www.w3.org/2000/svg" font-family="sans-serif">'
    return head + own + ground + rest + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the picture; return the exit code."""
    if len(arguments) != 3:
        print("usage: python -m benchmarks.picture REPORT.html DEVICE OUT.svg", file=sys.stderr)
        return 2
    page, device_id, out = Path(arguments[0]), arguments[1], Path(arguments[2])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(picture(page.read_text("utf-8"), device_id), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
