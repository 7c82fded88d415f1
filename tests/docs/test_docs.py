"""What can go stale is compared with the code."""

from __future__ import annotations

import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path

from llamactl.config.variables import VARIABLES
from llamactl.core import lifecycle
from llamactl.proxy.stages import client, exchange
from support.command_lines import problem

ROOT = Path(__file__).parents[2]


def test_the_diagrams_are_current() -> None:
    text = (ROOT / "docs/architecture.md").read_text()

    for part in (lifecycle, exchange, client):
        assert part.to_mermaid() in text, part.__name__


def test_the_map_names_every_package_and_every_path_it_names_exists() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    source = ROOT / "src/llamactl"
    packages = [p.name for p in source.iterdir() if (p / "__init__.py").exists()]

    assert [name for name in packages if f"`{name}`" not in text] == []
    there = [f"/{path.relative_to(source)}" for path in source.rglob("*.py")]
    there += [f"/{path.relative_to(ROOT)}" for path in (ROOT / "tests").rglob("*.py")]
    named = re.findall(r"`([\w/]+\.py)`", text)
    assert [p for p in named if not any(path.endswith(f"/{p}") for path in there)] == []


def test_every_setting_is_documented() -> None:
    generated = runpy.run_path(str(ROOT / "docs/generate_settings.py"))["text"]()

    assert (ROOT / "docs/settings.md").read_text() == generated
    assert [name for name in VARIABLES if f"`{name}`" not in generated] == []


def test_every_command_is_documented() -> None:
    generated = runpy.run_path(str(ROOT / "docs/generate_cli.py"))["text"]()

    assert (ROOT / "docs/cli.md").read_text() == generated


def test_readme_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()

    for target in re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE):
        assert f"\n{target}:" in makefile


def test_what_contributing_names_exists() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    named = re.findall(r"`(?:python )?((?![\w/]*NAME)[\w/]+\.(?:py|md|toml))`", text)
    folders = (ROOT, ROOT / "src/llamactl")
    missing = {path for path in named if not any((folder / path).exists() for folder in folders)}
    targets = re.findall(r"`make ([\w-]+)`|^make ([\w-]+)", text, re.MULTILINE)
    missing |= {one for both in targets for one in both if one and f"\n{one}:" not in makefile}

    assert missing == set()


def test_nothing_that_is_shipped_says_to_install_llamactl_from_an_index() -> None:
    """There that name is another project's program."""
    folders = ("packaging", "docs", "examples", "requirements", "src", "webui/src")
    files = [*ROOT.glob("*"), *(path for name in folders for path in (ROOT / name).rglob("*"))]
    written = (".py", ".md", ".txt", ".toml", ".yaml", ".service", ".ts", ".tsx", ".sh", "")
    texts = {p: p.read_text() for p in files if p.is_file() and p.suffix in written}
    program = re.compile(r"\b(?:pipx?|uvx?|poetry|pdm)(?: [^\n`]*)? [\"']?llamactl(?![\w./-])")
    found = {
        str(path.relative_to(ROOT)): line
        for path, text in texts.items()
        for line in text.splitlines()
        if "llamactl[" in line or program.search(line.replace("uv tool uninstall llamactl", ""))
    }

    assert found == {}


_FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(r"(?:\$ )?(?:\.venv/bin/)?(llamactl .*)")


def commands() -> Iterator[tuple[str, list[str]]]:
    """Each command in the docs: its file, and its arguments."""
    for file in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for kind, block in _FENCED.findall(file.read_text()):
            lines = block if kind in ("", "console", "sh", "bash") else ""
            for line in lines.replace("\\\n", " ").splitlines():
                if found := _COMMAND.match(line.strip()):
                    words = shlex.split(found[1], comments=True)[1:]
                    end = next((n for n, word in enumerate(words) if word in _ENDS), None)
                    yield file.name, words[:end]


_ENDS = ("|", ">", "<", "&&", "&", ";")


def test_every_command_in_the_docs_is_one(tmp_path: Path) -> None:
    """Its name, its options, and how many arguments it takes; not what it would do."""
    found = list(commands())
    seen = [(file, " ".join(words), problem(words, tmp_path)) for file, words in found]

    assert [one for one in seen if one[-1]] == []
    assert len(found) > 20
