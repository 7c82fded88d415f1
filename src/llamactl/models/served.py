"""What instances serve, by their options and the files that those name."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from llamactl.backends.model_rules import ModelRules
from llamactl.core.errors import LlamactlError
from llamactl.core.instance import OptionValue, Resolve
from llamactl.core.model import ModelFacts, ModelInfo, Offer, part_names
from llamactl.models.naming import is_projector

Options = Mapping[str, OptionValue]
_MOST_TEMPLATE = 1 << 16  # bytes
_MOST_PRESET = 1 << 20  # bytes
_MOST_MODELS = 10_000  # of a folder
_MOST_READ = 100  # of those, their headers


class Reader(Protocol):
    def facts(self, path: Path) -> ModelFacts:
        """Raises OSError or ValueError for what can't be read."""
        ...


class ServedModels:
    """Reads files, so not for an event loop."""

    def __init__(self, reader: Reader, resolve: Resolve) -> None:
        self._reader = reader
        self._resolve = resolve

    def __call__(self, rules: ModelRules, options: Options) -> Offer:
        """What can't be read is not known. A router's own options count more than a preset's."""
        if rules.is_router(options):
            files = of_folder(options.get("models_dir"))
            for name, own in of_preset(options.get("models_preset"), rules).items():
                files[name] = {**files.get(name, {}), **own}
            models = {name: self._info(rules, {**own, **options}) if n < _MOST_READ else ModelInfo()
                      for n, (name, own) in enumerate(files.items())}  # fmt: skip
            return Offer(models=models, several=True)
        return Offer(self._info(rules, options))

    def _info(self, rules: ModelRules, options: Options) -> ModelInfo:
        with suppress(LlamactlError):
            options = self._resolve(options)
        facts, projector = self._facts(options.get("model")), self._facts(options.get("mmproj"))
        return rules.info_of(facts, projector, options, _template(options))

    def _facts(self, path: object) -> ModelFacts | None:
        with suppress(OSError, ValueError):
            return self._reader.facts(Path(path)) if isinstance(path, str) and path else None
        return None


def _template(options: Options) -> str | None:
    """In place of the model's own; None: its own counts, "": one of the engine's, by name."""
    given, file = options.get("chat_template"), options.get("chat_template_file")
    if isinstance(given, str) and given:
        return given if "{" in given else ""
    if not isinstance(file, str) or not file:
        return None
    with suppress(OSError, ValueError), Path(file).open("rb") as opened:
        return opened.read(_MOST_TEMPLATE).decode("utf-8", "replace")
    return ""


def of_preset(path: object, rules: ModelRules) -> dict[str, Options]:
    """As `of_preset_text`, of a file."""
    return of_preset_text(_text(path), rules)


def of_preset_text(text: str, rules: ModelRules) -> dict[str, Options]:
    """By name, the options of each model that an INI file of llama-server's names.

    Those of `[*]` are for all. A model that names no file is one of the hub's, as it is called
    (https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md, "presets").
    """
    found: dict[str, list[str]] = {}
    words = found.setdefault("*", [])
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("[") and line.endswith("]"):
            words = found.setdefault(line[1:-1].strip(), [])
        elif "=" in line and line[0] not in ";#":
            key, _, value = line.partition("=")
            words += [f"--{key.strip()}", value.strip()]
    common = rules.parse(found.pop("*"))
    return {name: {**({"hf_repo": name} if "--model" not in own and "/" in name else {}),
                   **common, **rules.parse(own)}
            for name, own in found.items()}  # fmt: skip


def _text(path: object) -> str:
    if not isinstance(path, str) or not path:
        return ""
    with suppress(OSError, ValueError), Path(path).open("rb") as opened:
        return opened.read(_MOST_PRESET).decode("utf-8", "replace")
    return ""


def of_folder(folder: object) -> dict[str, Options]:
    """By the names that llama-server gives them: options for each model of the folder.

    A file is named without its end. A folder holds one model: all its parts, and a projector
    (https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md, "models directory").
    """
    found: dict[str, Options] = {}
    if not isinstance(folder, str) or not folder:
        return found
    with suppress(OSError, ValueError):
        for entry in sorted(Path(folder).iterdir())[:_MOST_MODELS]:
            name = entry.stem if entry.is_file() else entry.name
            if options := _files_of(entry):
                found.setdefault(name, options)
    return found


def _files_of(entry: Path) -> dict[str, str]:
    files = sorted(entry.iterdir()) if entry.is_dir() else [entry]
    models = [f for f in files if f.suffix == ".gguf" and not is_projector(f.name) and f.is_file()]
    projector = next((f for f in files if is_projector(f.name) and f.suffix == ".gguf"), None)
    first = next((f for f in models if _is_first(f)), None)
    if first is None:
        return {}
    return {"model": str(first)} | ({"mmproj": str(projector)} if projector else {})


def _is_first(file: Path) -> bool:
    with suppress(ValueError):
        return part_names(file.name)[0] == file.name
    return False
