"""Strict YAML: plain maps, lists and scalars, and the line on which each stands.

Rule: what a reader of the file could overlook is refused (a key given twice, anchors, merge keys, tags), and
no error quotes the file: it may hold a secret.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml
from msgspec import Struct

from segue.core.errors import Invalid

_LONG_QUOTE = re.compile(r"'[^'<]{2,}'")
"""PyYAML's messages quote names of its tokens (`'<block end>'`), single characters, and pieces of the file."""

_TAG = "tag:yaml.org,2002:"


class Document(Struct, frozen=True):
    """What the text says, and for each path such as `sources[0].slug` the line where it begins."""

    value: Any
    lines: dict[str, int]

    def line_of(self, path: str) -> int:
        """The line of the path, or of the nearest thing around it that stands in the text."""
        while path and path not in self.lines:
            cut = max(path.rfind("."), path.rfind("["))
            path = path[: max(cut, 0)]
        return self.lines.get(path, 1)

    def __repr__(self) -> str:
        return f"Document({len(self.lines)} values)"


def read_yaml(text: str) -> Document:
    """The one document of the text. Raises Invalid with the line of what is wrong."""
    loader = yaml.SafeLoader(_readable(text))
    try:
        node = loader.get_single_node()
        if node is None:
            raise Invalid("the file is empty")
        walk = _Walk(loader)
        return Document(walk.value(node, ""), walk.lines)
    except yaml.MarkedYAMLError as error:
        raise _unreadable(error) from None
    except RecursionError:
        raise Invalid("is nested too deep") from None
    finally:
        loader.dispose()


def _readable(text: str) -> str:
    try:
        yaml.reader.Reader(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise Invalid(f"holds a control character (line {line})") from None
    return text


def _unreadable(error: yaml.MarkedYAMLError) -> Invalid:
    mark = error.problem_mark or error.context_mark
    problem = _LONG_QUOTE.sub("...", error.problem or error.context or "")
    if r"'\t'" in (error.problem or ""):
        problem = "a tab stands where blanks are needed"
    where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    return Invalid(f"is not valid YAML: {problem}{where}")


class _Walk:
    """One walk over the nodes of a document."""

    def __init__(self, loader: yaml.SafeLoader) -> None:
        self.lines: dict[str, int] = {}
        self._loader = loader
        self._seen: set[int] = set()

    def value(self, node: yaml.Node, path: str) -> Any:
        line = node.start_mark.line + 1
        if id(node) in self._seen:
            raise Invalid(f"aliases are not supported (line {line} is used again)", field=path)
        self._seen.add(id(node))
        self.lines.setdefault(path, line)
        if isinstance(node, yaml.MappingNode):
            return self._map(node, path)
        if isinstance(node, yaml.SequenceNode):
            _check_tag(node, "seq", path)
            return [self.value(item, f"{path}[{place}]") for place, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _map(self, node: yaml.MappingNode, path: str) -> dict[str, Any]:
        _check_tag(node, "map", path)
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != _TAG + "str":
                raise Invalid(f"a key must be a text; put it in quotes if it is one (line {line})", field=path)
            key = key_node.value
            inner = f"{path}.{key}" if path else key
            if key in found:
                raise Invalid(f"this key is given twice (line {line})", field=inner)
            self.lines[inner] = line
            found[key] = self.value(value_node, inner)
        return found

    def _scalar(self, node: yaml.Node, path: str) -> Any:
        kind = node.tag.removeprefix(_TAG)
        if kind in ("str", "timestamp", "value"):
            # A date is a text here: nothing in a workspace is a moment.
            return node.value
        if kind in ("bool", "int", "float", "null"):
            try:
                value = self._loader.construct_object(node)
            except (ValueError, KeyError):
                value = math.nan
            if isinstance(value, float) and not math.isfinite(value):
                raise Invalid(f"is no number that can be used (line {node.start_mark.line + 1})", field=path)
            return value
        raise Invalid(f"a tag or merge key is not supported (line {node.start_mark.line + 1})", field=path)


def _check_tag(node: yaml.Node, kind: str, path: str) -> None:
    if node.tag != _TAG + kind:
        raise Invalid(f"tags are not supported (line {node.start_mark.line + 1})", field=path)
