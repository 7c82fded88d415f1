"""What a shell's `$((…))` comes to, if it is plain arithmetic with integers."""

from __future__ import annotations

import ast
import re

_READ = re.compile(r"(?:[-+*/%()\s]|(?<!\d)(?:0|[1-9]\d{0,17})(?!\d))+")
_NOT_OURS = re.compile(r"//|\*\*|\d\s+\d|[\d)]\s*\(")
_LONGEST = 100  # characters


def computed(text: str) -> int | None:
    """None where it is not known here."""
    text = text.strip()
    if len(text) > _LONGEST or _NOT_OURS.search(text) or not _READ.fullmatch(text):
        return None
    try:
        return _value(ast.parse(text.replace("/", "//"), mode="eval").body)
    except (SyntaxError, RecursionError, MemoryError, ZeroDivisionError):
        return None


def _value(node: ast.expr) -> int | None:
    value: int
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=inner):
            found = _value(inner)
            return -found if found is not None and isinstance(sign, ast.USub) else found
        case ast.BinOp(left=left, op=operator, right=right):
            return _applied(operator, _value(left), _value(right))
    return None


def _applied(operator: ast.operator, left: int | None, right: int | None) -> int | None:
    if left is None or right is None:
        return None
    match operator:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
    if left < 0 or right < 0:  # which a shell rounds to the other side
        return None
    return left // right if isinstance(operator, ast.FloorDiv) else left % right
