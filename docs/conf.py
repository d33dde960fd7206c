"""The settings of Sphinx, which makes the site of the pages in this folder: `make docs`.

The pages are Markdown, and can be read without the site. The pages in `api` are made from the
docstrings, which are plain text: names in single backticks, and examples that are indented.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

import cshelve
import cshelve.exceptions

project = "cshelve"
author = "The cshelve maintainers"
copyright = author
release = version = cshelve.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]

# The anchors of headings are GitHub's, down to the level that pages link to.
myst_heading_anchors = 4

html_theme = "furo"
html_title = "cshelve"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "friendly"
pygments_dark_style = "github-dark"
# What a reader copies is what they type.
copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True
copybutton_line_continuation_character = "\\"

# A name in backticks becomes a link if it is one of cshelve's, and is code otherwise.
default_role = "py:obj"

# Frameworks that would take minutes to install.
autodoc_mock_imports = ["pandas", "ray"]

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 120
# The contents of a page list `modify`, and not `CloudShelf.modify`.
toc_object_entries_show_parents = "hide"


def readable(
    app: object, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Turn the text of a docstring into what Sphinx expects."""
    text = only_names_as_links("\n".join(lines), parameters_of(obj))
    # What Python itself says of the fields of a named tuple.
    text = re.sub(r"\AAlias for field number \d+", "", text)
    lines[:] = examples_as_code(text.split("\n"))


def parameters_of(obj: object) -> set[str]:
    try:
        return set(inspect.signature(obj).parameters) if inspect.isroutine(obj) else set()
    except ValueError:  # A function of C may have no signature.
        return set()


def only_names_as_links(text: str, parameters: set[str]) -> str:
    """Mark as code what is no name, and parameters, as methods may have the same names."""

    def marked(found: re.Match[str]) -> str:
        is_name = re.fullmatch(r"[A-Za-z_][\w.]*", found[1]) and found[1] not in parameters
        return found[0] if is_name else f"``{found[1]}``"

    return re.sub(r"(?<!`)`([^`]+)`(?!`)", marked, text)


def examples_as_code(lines: list[str]) -> list[str]:
    """Mark the indented paragraphs as code, where Sphinx sees quotations."""
    marked: list[str] = []
    inside = False
    for line, before in zip(lines, ["", *lines], strict=False):
        if line and not line.startswith(" "):
            inside = False
        elif line.startswith("    ") and not (inside or before):
            inside = True
            if not after_double_colon(marked):
                language = "console" if line.strip().startswith("pip ") else "python"
                marked += [f".. code-block:: {language}", ""]
        marked.append(line)
    return marked


def after_double_colon(lines: list[str]) -> bool:
    """Return whether the last paragraph says itself that code follows."""
    return next((line for line in reversed(lines) if line), "").endswith("::")


def link_or_code(app: Any, env: Any, node: Any, contnode: Any) -> Any:
    """Link the name of an error to its page, and keep other unknown names as they are written."""
    if node["reftype"] != "obj":
        return None
    target = node["reftarget"].removeprefix("cshelve.")
    if target not in cshelve.exceptions.__all__:
        return contnode
    documented = f"cshelve.exceptions.{target}"
    python = env.get_domain("py")
    return python.resolve_xref(env, node["refdoc"], app.builder, "obj", documented, node, contnode)


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", readable)
    app.connect("missing-reference", link_or_code)
