"""The examples of docs/client.md, run against a real server."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.served import data_folder, serve

pytestmark = pytest.mark.representative

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs/client.md").read_text(), re.DOTALL)


def test_they_run_as_they_stand(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve(data_folder(tmp_path, "")) as server:
        for block in BLOCKS:
            code = block.replace("http://127.0.0.1:8080", server.url)
            code = code.replace("MANAGEMENT_KEY", server.key)
            code = code.replace("/models/tiny.gguf", str(tiny_model))
            exec(compile(code, "docs/client.md", "exec"), {"__name__": "__main__"})

    said = capsys.readouterr().out
    assert len(BLOCKS) == 3
    assert "running" in said and "instance_not_found 404" in said and "['tiny']" in said
