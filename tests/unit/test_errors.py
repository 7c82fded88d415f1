"""Errors are in one place, so that a client knows each by its code."""

from __future__ import annotations

import ast
from pathlib import Path

from llamactl.client.errors import error_in
from llamactl.core import errors

SOURCE = Path(errors.__file__).parents[1]
OF_THE_CLIENT = {"ServerUnreachable", "InvalidAnswer"}  # what no server answers with


def test_every_error_that_is_answered_with_is_in_core_errors() -> None:
    known = {name for name, kind in vars(errors).items() if isinstance(kind, type)}
    elsewhere = {
        node.name: str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        if path != SOURCE / "core/errors.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        and any(isinstance(base, ast.Name) and base.id in known for base in node.bases)
        and node.name not in OF_THE_CLIENT
    }

    assert elsewhere == {}


def test_the_client_raises_the_error_that_the_code_names() -> None:
    kinds = [
        kind for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.LlamactlError)
    ]  # fmt: skip
    codes = {kind: vars(kind)["code"] for kind in kinds if "code" in vars(kind)}

    assert {kind: type(error_in({"error": "x", "code": code})) for kind, code in codes.items()} == {
        kind: kind for kind in codes
    }
