"""Write `.env.example` again from the settings: `.venv/bin/python tools/env_example.py`.

Rule: the file is what `segue_docs.settings` makes of the code; a test compares them.
"""

from __future__ import annotations

from pathlib import Path

from segue_docs.settings import env_example

Path(__file__).parents[1].joinpath(".env.example").write_text(env_example(), "utf-8")
