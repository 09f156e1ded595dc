"""What mkdocs calls while it builds: it puts the pages that are made from the code beside those written by hand.

Rule: nothing generated is ever written into the repository, so that it cannot lag behind the code.
"""

from __future__ import annotations

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from segue_docs import pages


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add every generated page."""
    for path, content in pages().items():
        files.append(File.generated(config, path, content=content))
    return files
