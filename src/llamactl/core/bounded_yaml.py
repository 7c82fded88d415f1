"""YAML that anybody may have written: its aliases can't make it larger than it looks."""

from __future__ import annotations

from typing import Any

import yaml

_MOST = 1 << 20  # characters and values that aliases and merges may add
_TAG = "tag:yaml.org,2002:"
_NULLS = ("", "~", "null")
_OF_NO_TEXT = (f"{_TAG}null", f"{_TAG}merge")


# Also for values that Python can't hold, such as 2026-02-31, and for what is nested too deeply.
UNREADABLE = (yaml.YAMLError, ValueError, OverflowError, RecursionError)


class Unfit(yaml.MarkedYAMLError):
    """It is YAML, but would be too large, or one of two values would be lost."""


def no_truth(value: Any) -> Any:
    """YAML reads the words `on` and `off` as truths, where nobody quotes them."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


def read_bounded(text: str, *, scalars_as_text: bool = False) -> Any:
    """Also refuses a key that is there twice, where only one would count.

    `scalars_as_text`: nothing is a number or a truth, and an unknown tag means nothing. Raises
    one of UNREADABLE.
    """
    return yaml.load(text, Loader=_Texts if scalars_as_text else _Bounded)


class _Bounded(yaml.SafeLoader):
    def get_single_node(self) -> yaml.Node | None:
        node: yaml.Node | None = super().get_single_node()
        if node is not None:
            _Size().check(node)
        return node


class _Texts(_Bounded):
    def construct_untagged(self, node: yaml.Node) -> Any:
        """As if no tag were there."""
        if isinstance(node, yaml.SequenceNode):
            return self.construct_sequence(node, deep=True)
        if isinstance(node, yaml.MappingNode):
            return self.construct_mapping(node, deep=True)
        assert isinstance(node, yaml.ScalarNode)
        return self.construct_scalar(node) if node.value not in _NULLS or node.style else None


_Texts.yaml_implicit_resolvers = {
    begin: [one for one in known if one[0] in _OF_NO_TEXT]
    for begin, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _name in ("int", "float", "bool", "timestamp", "binary", "set", "omap", "pairs"):
    _Texts.add_constructor(f"{_TAG}{_name}", _Texts.construct_untagged)
_Texts.add_constructor(None, _Texts.construct_untagged)


class _Size:
    """Of a document, as written and with what its aliases and merges add."""

    def __init__(self) -> None:
        self._written = 0
        self._whole: dict[int, int] = {}  # of each node, by its identity; 0 while it is measured

    def check(self, root: yaml.Node) -> None:
        if self._measured(root) - self._written > _MOST:
            raise Unfit(
                problem="its aliases make it too large; write fewer of them",
                problem_mark=root.start_mark,
            )

    def _measured(self, node: yaml.Node) -> int:
        known = self._whole.get(id(node))
        if known == 0:
            raise Unfit(
                problem="an alias contains itself; write its value instead",
                problem_mark=node.start_mark,
            )
        if known is not None:
            return known
        self._whole[id(node)] = 0
        own = 1
        inner: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            _refuse_twice(node)
            inner = [one for pair in node.value for one in pair]
        elif isinstance(node, yaml.SequenceNode):
            inner = node.value
        else:
            own += len(node.value)
        self._written += own
        self._whole[id(node)] = whole = own + sum(map(self._measured, inner))
        return whole


def _refuse_twice(node: yaml.MappingNode) -> None:
    seen = set[str]()
    for key, _ in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else ""
        if name and name != "<<" and name in seen:
            raise Unfit(
                problem="this key is there twice; give each its own", problem_mark=key.start_mark
            )
        seen.add(name)
