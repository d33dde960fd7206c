"""Write the programs of examples/cookbook into the pages of docs/cookbook.

::

    python -m tools.cookbook_pages

A page names a program in a comment; the block after it is the program. Of a notebook, it is the
code of the cells.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs" / "cookbook").glob("*.md"))
COMMAND = "python -m tools.cookbook_pages"
PLACE = re.compile(r"^<!-- (examples/\S+) -->\n+```(\w+)\n.*?^```$", re.DOTALL | re.MULTILINE)


def updated(page: str) -> str:
    """Return a page with the programs as they are now."""

    def block(place: re.Match[str]) -> str:
        name, language = place.groups()
        return f"<!-- {name} -->\n```{language}\n{code_of(ROOT / name)}\n```"

    return PLACE.sub(block, page)


def code_of(program: Path) -> str:
    text = program.read_text("utf-8")
    if program.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        text = "\n\n".join(code)
    return text.strip()


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(updated(page.read_text("utf-8")), "utf-8")
