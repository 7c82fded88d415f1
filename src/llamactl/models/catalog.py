"""The model files of this machine: in the hub's cache, and in folders that the settings name.

The cache's layout: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from llamactl.core.errors import InvalidRequest, UnknownModel
from llamactl.core.instance import OptionValue
from llamactl.core.model import part_names
from llamactl.models.naming import PREFERRED, is_projector, quant_of, read_reference

_REPO = "models--"
_MOST_FILES = 10_000


@dataclass(frozen=True, slots=True)
class LocalModel:
    name: str  # "org/repo:QUANT", or of a folder: the file's path in it, without its end
    files: tuple[Path, ...]  # the parts
    size: int  # bytes
    modified: float  # Unix seconds
    repo: str = ""  # of files in the cache
    quant: str = ""
    projector: Path | None = None

    @property
    def path(self) -> Path:
        """What an engine is given."""
        return self.files[0]


class Catalog:
    def __init__(self, cache: Path, folders: Sequence[Path]) -> None:
        self.cache = cache
        self._folders = folders

    def __repr__(self) -> str:
        return f"<Catalog {self.cache} {len(self._folders)} folders>"

    def all(self) -> list[LocalModel]:
        """Only complete ones. Names are unique: of two, the newer comes first and counts."""
        found: dict[str, LocalModel] = {}
        models = [*self._cached(), *self._in_folders()]
        for model in sorted(models, key=lambda model: -model.modified):
            found.setdefault(model.name.lower(), model)
        return sorted(found.values(), key=lambda model: model.name.lower())

    def find(self, name: str) -> LocalModel:
        """By name, by repository, or by file. Raises UnknownModel."""
        models, wanted = self.all(), name.strip().lower()
        for fits in (
            [m for m in models if m.name.lower() == wanted],
            [m for m in models if m.repo.lower() == wanted],
            [m for m in models if wanted in (str(m.path).lower(), m.path.name.lower())],
        ):
            if len(fits) == 1:
                return fits[0]
            if fits:
                names = ", ".join(m.name for m in fits)
                raise UnknownModel(
                    f"{name} matches several models: {names}; use one of these names"
                )
        raise UnknownModel(f"there is no model {name[:200]!r} here; see `llamactl models ls`")

    def resolve(self, options: Mapping[str, OptionValue]) -> Mapping[str, OptionValue]:
        """With `model`, and a projector if there is one, in place of `hf_repo` and `hf_file`.

        Raises UnknownModel for what was not downloaded.
        """
        repo = options.get("hf_repo")
        if not isinstance(repo, str) or "model" in options:
            return options
        file = options.get("hf_file")
        found = self._downloaded(f"{repo}/{file}" if isinstance(file, str) else repo)
        rest = {k: v for k, v in options.items() if k not in ("hf_repo", "hf_file")}
        if found.projector is not None:
            rest = {"mmproj": str(found.projector), **rest}
        return {**rest, "model": str(found.path)}

    def _downloaded(self, name: str) -> LocalModel:
        try:
            wanted = read_reference(name)
            mine = [m for m in self.all() if m.repo.lower() == wanted.repo.lower()]
            if wanted.file:
                return next(m for m in mine if str(m.path).endswith(f"/{wanted.file}"))
            return self.find(str(wanted)) if wanted.quant else _usual(mine)
        except (UnknownModel, StopIteration, InvalidRequest) as exc:
            raise UnknownModel(
                f"{name} is not on this machine; download it with `llamactl models pull {name}`"
            ) from exc

    def remove(self, model: LocalModel) -> int:
        """Bytes that are free now. Raises OSError."""
        freed = 0
        for file in (*model.files, *([model.projector] if self._alone(model) else [])):
            if file is not None:
                freed += _remove(file)
        if model.repo:
            _remove_empty(self.cache / (_REPO + model.repo.replace("/", "--")))
        return freed

    def _alone(self, model: LocalModel) -> bool:
        """Does nobody else use its projector?"""
        return not any(
            other.name != model.name and other.projector == model.projector for other in self.all()
        )

    def _cached(self) -> Iterator[LocalModel]:
        for folder in _folders_in(self.cache):
            org, _, name = folder.name.removeprefix(_REPO).partition("--")
            if not folder.name.startswith(_REPO) or not name:
                continue
            for snapshot in _folders_in(folder / "snapshots"):
                yield from _models_in(snapshot, f"{org}/{name}", within=folder)

    def _in_folders(self) -> Iterator[LocalModel]:
        for folder in self._folders:
            yield from _models_in(folder.expanduser(), "", within=None)


def _usual(models: Sequence[LocalModel]) -> LocalModel:
    """Of one repository, as a download would choose. Raises StopIteration if there is none."""
    order = [m for quant in PREFERRED for m in models if m.quant == quant]
    return next(iter([*order, *models]))


def _models_in(folder: Path, repo: str, *, within: Path | None) -> Iterator[LocalModel]:
    """`within`: links must stay in this folder, because its files came from elsewhere."""
    files = [f for f in _gguf_files(folder) if _stays(f, within)]
    projectors = [f for f in files if is_projector(f.name)]
    for file in files:
        with suppress(OSError, ValueError):
            parts = tuple(file.with_name(name) for name in part_names(file.name))
            if is_projector(file.name) or parts[0] != file or not all(map(Path.is_file, parts)):
                continue
            quant = quant_of(file.name)
            own = str(file.relative_to(folder).with_suffix(""))
            name = f"{repo}:{quant or file.stem}" if repo else own
            yield LocalModel(
                name=name,
                files=parts,
                size=sum(part.stat().st_size for part in parts),
                modified=file.stat().st_mtime,
                repo=repo,
                quant=quant,
                projector=next((p for p in projectors if p.parent == file.parent), None),
            )


def _gguf_files(folder: Path) -> list[Path]:
    found = []
    with suppress(OSError):
        for root, folders, names in os.walk(folder):
            folders[:] = [f for f in folders if not f.startswith(".")]
            found += [Path(root, name) for name in sorted(names) if name.endswith(".gguf")]
            if len(found) > _MOST_FILES:
                break
    return found


def _folders_in(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if entry.is_dir())
    except OSError:
        return []


def _stays(file: Path, within: Path | None) -> bool:
    return within is None or file.resolve().is_relative_to(within.resolve())


def _remove(file: Path) -> int:
    """A file, or a link of the cache together with what it leads to, if no other leads there.

    Of a link in somebody's own folder, only the link is removed.
    """
    target = file.resolve()
    size = target.stat().st_size if target.exists() else 0
    linked = file.is_symlink()
    file.unlink(missing_ok=True)
    if not linked:
        return size
    snapshots = next((p for p in file.parents if p.name == "snapshots"), None)
    if snapshots is None or not target.is_relative_to(snapshots.parent.resolve()):
        return 0
    if any(other.resolve() == target for other in _gguf_files(snapshots)):
        return 0
    target.unlink(missing_ok=True)
    return size


def _remove_empty(folder: Path) -> None:
    """What is left of a repository without a file."""
    if any((folder / "blobs").glob("*")):
        return
    for root, folders, names in os.walk(folder, topdown=False):
        for name in names:
            Path(root, name).unlink(missing_ok=True)
        for name in folders:
            with suppress(OSError):
                Path(root, name).rmdir()
    with suppress(OSError):
        folder.rmdir()
