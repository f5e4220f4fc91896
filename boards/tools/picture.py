"""docs/demo.svg: what `make demo` prints, as a picture for the README.

    python -m boards.tools.picture

Runs the demo and draws its output, line by line; tests/host/test_demo.py holds the picture
against the demo as it is. Nothing is loaded from elsewhere; light or dark as the reader is.
"""

from __future__ import annotations

import re
import subprocess
import sys
from html import escape, unescape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "demo.svg"
_WIDTH, _LINE, _TOP, _LEFT = 800, 18, 58, 20

_HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>What make demo prints</title>
<style>
.page{{fill:#fbfcfd;stroke:#d0d7de}}text{{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,
"DejaVu Sans Mono",monospace;fill:#57606a;white-space:pre}}.told{{fill:#1f2328;font-weight:600}}
.cut{{fill:#b3261e;font-weight:600}}.good{{fill:#1a7f37;font-weight:600}}.typed{{fill:#0550ae}}
@media (prefers-color-scheme:dark){{.page{{fill:#0d1117;stroke:#30363d}}text{{fill:#9198a1}}
.told{{fill:#e6edf3}}.cut{{fill:#ff8a80}}.good{{fill:#56d364}}.typed{{fill:#79c0ff}}}}
</style>
<rect class="page" x="0.5" y="0.5" width="{inner}" height="{tall}" rx="8"/>
<circle cx="22" cy="22" r="6" fill="#ff5f57"/><circle cx="42" cy="22" r="6" fill="#febc2e"/>
<circle cx="62" cy="22" r="6" fill="#28c840"/>
<text x="{middle}" y="26" text-anchor="middle">make demo</text>
"""


def demo() -> str:
    """What the demo prints. RuntimeError where it fails."""
    command = [sys.executable, str(ROOT / "boards" / "unix" / "demo.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    if done.returncode:
        raise RuntimeError(f"the demo failed: {done.stdout}{done.stderr}")
    return done.stdout


def draw(printed: str) -> str:
    """The picture of it."""
    lines = printed.rstrip("\n").split("\n")
    height = _TOP + _LINE * len(lines) + 10
    made = [_HEAD.format(width=_WIDTH, height=height, inner=_WIDTH - 1, tall=height - 1,
                         middle=_WIDTH // 2)]  # fmt: skip
    for i, line in enumerate(lines):
        kind = "told" if re.match(r"\d\. |   [A-Za-z]\w+ ", line) and line[3] != " " else ""
        kind = "typed" if line.startswith("  $ ") else kind
        kind = "cut" if "POWER CUT" in line else kind
        kind = "good" if line.startswith("ok:") or "Nothing was lost" in line else kind
        style = f' class="{kind}"' if kind else ""
        y = _TOP + i * _LINE
        made.append(f'<text{style} x="{_LEFT}" y="{y}">{escape(line, quote=False)}</text>\n')
    return "".join(made) + "</svg>\n"


def drawn(picture: str) -> str:
    """The text in a picture that `draw` made."""
    found = re.findall(rf'<text[^>]* x="{_LEFT}"[^>]*>(.*?)</text>', picture)
    return "\n".join(unescape(line) for line in found) + "\n"


def main() -> int:
    PICTURE.write_text(draw(demo()))
    print(PICTURE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
