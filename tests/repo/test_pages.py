"""The pages written by hand: links lead somewhere, and what they show works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

import click
import pytest

from segue.cli import segue
from segue.control.workspace_file import parse_workspace
from segue.core.destination import check_settings
from segue.core.event import Event
from tests.repo.conftest import ROOT, made_pages, written_pages

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def everything() -> dict[str, str]:
    """Every page, by its path from the root."""
    return {**written_pages(), **{f"docs/{path}": text for path, text in made_pages().items()}}


def fences(text: str, language: str) -> list[str]:
    """The blocks of code in this language, without their indent."""
    found = [(indent, body) for indent, name, body in FENCE.findall(text) if name == language]
    return [re.sub(f"^{indent}", "", body, flags=re.MULTILINE) for indent, body in found]


def anchors(text: str) -> set[str]:
    """The anchors of a page, as its headings give them."""
    found = set()
    for heading in re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE):
        named = re.search(r"\{#([\w-]+)\}\s*$", heading)
        plain = re.sub(r"[^\w\s-]", "", re.sub(r"[`*_]", "", heading)).strip().lower()
        found.add(named[1] if named else re.sub(r"[\s-]+", "-", plain))
    return found


@pytest.mark.parametrize("page", sorted(everything()))
def test_every_link_leads_somewhere(page):
    known = everything()
    for link in LINK.findall(FENCE.sub("", known[page])):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = os.path.normpath(PurePosixPath(page).parent / path) if path else page
        # A forge shows the repository: there the pages that are made have no place.
        assert (ROOT / target).exists() or (target in known and page.startswith("docs/")), f"{page} -> {link}"
        if anchor:
            assert anchor in anchors(known[target]), f"{page} -> {link}"


def test_every_workspace_on_a_page_can_be_applied():
    texts = [
        block for text in everything().values() for block in fences(text, "yaml") if "\nworkspace:" in "\n" + block
    ]
    assert len(texts) >= 3
    for text in texts:
        parse_workspace(text.encode(), {})


def test_every_part_of_a_workspace_on_a_page_can_be_applied():
    frame = "workspace: {name: A, slug: a}\nsources: [{slug: website}]\ndestinations:\n"
    texts = [block for text in everything().values() for block in fences(text, "yaml") if block.startswith("  - ")]
    assert len(texts) >= 4
    for text in texts:
        assert parse_workspace((frame + text).encode(), {}).destinations


def commands_shown() -> list[tuple[str, str]]:
    """(page, line) of each `segue ...` in a block of shell or in a line of code."""
    found = []
    for page, text in everything().items():
        lines = [line for block in fences(text, "sh") for line in block.splitlines()]
        lines += re.findall(r"`(segue [^`]+)`", FENCE.sub("", text))
        if page != "docs/reference/cli.md":
            found += [
                (page, match) for line in lines for match in re.findall(r"(?:^|[ /(])segue ([a-z][^#;|&]*)", line)
            ]
    return found


def test_every_command_on_a_page_exists():
    shown = commands_shown()
    assert len(shown) > 40
    for page, line in shown:
        words = line.split()
        command: click.Command = segue
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            assert words[0] in command.commands, f"{page}: segue {line}"
            command = command.commands[words.pop(0)]
        options = {name for option in command.params for name in option.opts}
        for word in words:
            if word.startswith("--"):
                assert word.partition("=")[0] in options, f"{page}: segue {line}"


def test_every_word_of_make_on_a_page_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for page, text in everything().items():
        for words in re.findall(r"`make ([a-z ]+)`", text):
            assert set(words.split()) <= targets, f"{page}: make {words}"


def test_the_destination_shown_to_contributors_works():
    text = (ROOT / "docs/internals/destinations.md").read_text("utf-8")
    module: dict[str, object] = {}
    exec(compile(fences(text, "python")[0], "example", "exec", dont_inherit=True), module)
    kind = module["destination"]
    settings = check_settings(kind, {"apiKey": "k"})
    event = Event(b'{"type":"identify","messageId":"m","userId":"u","traits":{"age":3}}')
    request = next(kind.send(settings, event))
    assert request.body == b'{"id":"u","traits":{"age":3}}'


def test_the_python_on_every_page_compiles():
    for page, text in everything().items():
        for block in fences(text, "python"):
            compile(block, page, "exec")


def test_the_site_builds_without_a_warning_and_asks_nobody_for_anything(tmp_path):
    made = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (made.returncode, made.stdout + made.stderr) == (0, "")
    html = list(Path(tmp_path).rglob("*.html"))
    assert len(html) > 30
    loaded = re.compile(r"<(?:script|img|iframe|source)[^>]*\ssrc=\"?(?:https?:)?//|<link[^>]*href=\"?(?:https?:)?//")
    for path in html:
        assert not loaded.search(path.read_text("utf-8").replace('<link rel="canonical"', "")), path.name
