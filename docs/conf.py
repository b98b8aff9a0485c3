"""Sphinx: the documentation of Conveyor, built without the network; see CONTRIBUTING.md for the command."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# As the program does: pydantic need not look for plugins.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from conveyor import __version__

project = "Conveyor"
author = "The Conveyor developers"
copyright = author  # noqa: A001 - Sphinx's own name
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click", "sphinx_copybutton", "generated"]
exclude_patterns = ["_build", "examples", "explanation/performance-figures.md"]  # the last is part of a page
source_suffix = {".md": "markdown"}

smartquotes = False  # options begin with two hyphens

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

nitpicky = True
# What is not ours has no page here, and there is no network to look for one elsewhere; the second line are our own
# types as they stand in signatures, without their module.
nitpick_ignore_regex = [
    (r"py:.*", r"(?!conveyor\b).*"),
    (r"py:.*", r"conveyor\.(engine|capabilities|commands|request|settings|filesystem|weblog)\..*"),
]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True

html_theme = "furo"
html_title = f"Conveyor {release}"
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["conveyor.css"]

copybutton_prompt_text = r"\$ "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True
