"""A strict YAML reader that returns plain Python data.

Duplicate keys are refused with their line numbers, and keys are always text. Scalars follow the core schema of YAML
1.2: `yes`, `no`, `on`, `off` and `12:30` are text, `1e-3` is a number. Anchors, aliases and `<<` work; alias bombs are
refused.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from pipeline.errors import ConfigError
from pipeline.redact import shown

MAX_VALUES = 100_000
"""Values in one file, counting every use of an alias; a real configuration has a few hundred."""

MAX_DEPTH = 32

_INT = re.compile(r"[-+]?[0-9]{1,300}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_UNPRINTABLE = re.compile("[\\x00\\ud800-\\udfff]")
_SPECIAL = {
    ".inf": float("inf"), "+.inf": float("inf"), "-.inf": float("-inf"), ".nan": float("nan"),
    "true": True, "false": False, "null": None, "~": None, "": None,
}  # fmt: skip
_TAG = "tag:yaml.org,2002:"


def parse_yaml(text: str, where: str) -> Any:
    """Parse one YAML document.

    Args:
        text: the document.
        where: the beginning of every error message, e.g. the path of the file.

    Returns:
        Dicts with text keys, lists, str, int, float, bool and None.

    Raises:
        ConfigError: invalid YAML, a duplicate key, a key that is not text, a tag, or a document too large or deep.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
        return None if node is None else _Builder(where).build(node, 0)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f" line {mark.line + 1}, column {mark.column + 1}:" if mark else ""
        raise ConfigError(
            f"{where}:{line} not valid YAML: {shown(str(error.problem or error.context), 200)}"
        ) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: not valid YAML: {shown(' '.join(str(error).split()), 200)}") from None
    except RecursionError:
        raise ConfigError(f"{where}: nested too deep") from None


class _Loader(yaml.SafeLoader):
    """Leaves every plain scalar a text; `_Builder` resolves its type."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML declares it on instances


class _Builder:
    def __init__(self, where: str) -> None:
        self._where = where
        self._values = 0

    def build(self, node: yaml.Node, depth: int) -> Any:
        self._values += 1
        if self._values > MAX_VALUES:
            raise self._error(node, f"more than {MAX_VALUES} values")
        if depth > MAX_DEPTH:
            raise self._error(node, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if isinstance(node, yaml.SequenceNode):
            self._refuse_tag(node, "seq")
            return [self.build(item, depth + 1) for item in node.value]
        assert isinstance(node, yaml.MappingNode)
        self._refuse_tag(node, "map")
        return self._mapping(node, depth)

    def _mapping(self, node: yaml.MappingNode, depth: int) -> dict[str, Any]:
        own: dict[str, Any] = {}
        lines: dict[str, int] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._error(key_node, "a key must be a word, not a list or a mapping")
            key, line = self._text(key_node), key_node.start_mark.line + 1
            if key in lines:
                raise self._error(key_node, f"'{shown(key)}' is there twice, first on line {lines[key]}")
            lines[key] = line
            value = self.build(value_node, depth + 1)
            if key == "<<" and key_node.style is None:
                merged = self._merge(value_node, value)
            else:
                own[key] = value
        return merged | own

    def _merge(self, node: yaml.Node, value: Any) -> dict[str, Any]:
        """The keys merged in by `<<`; of several mappings the first one that has a key wins."""
        result: dict[str, Any] = {}
        for mapping in value if isinstance(value, list) else [value]:
            if not isinstance(mapping, dict):
                raise self._error(node, "<< expects a mapping or a list of mappings")
            result = mapping | result
        return result

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        self._refuse_tag(node, "str")
        text = self._text(node)
        if node.style is not None:  # quoted, or a block of text
            return text
        if text.lower() in _SPECIAL:
            return _SPECIAL[text.lower()]
        if _INT.fullmatch(text):
            return int(text)
        return float(text) if _FLOAT.fullmatch(text) else text

    def _text(self, node: yaml.ScalarNode) -> str:
        text: str = node.value
        if _UNPRINTABLE.search(text):
            raise self._error(node, f"text may not hold {_UNPRINTABLE.findall(text)[0]!r}")
        return text

    def _refuse_tag(self, node: yaml.Node, plain: str) -> None:
        if node.tag != f"{_TAG}{plain}":
            raise self._error(node, f"the tag {shown(node.tag.replace(_TAG, '!!'))} is not allowed")

    def _error(self, node: yaml.Node, text: str) -> ConfigError:
        return ConfigError(f"{self._where}: line {node.start_mark.line + 1}: {text}")
