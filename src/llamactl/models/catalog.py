"""The model files of this machine: in the hub's cache, and in folders that the settings name.

The cache's layout: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from llamactl.core.errors import InvalidRequest, UnknownModel
from llamactl.core.instance import OptionValue
from llamactl.core.model import part_names
from llamactl.models.naming import fitting, is_projector, quant_of, read_reference
from llamactl.models.projectors import Projectors, beside, top_of

_REPO = "models--"
_MOST_FILES = 10_000


@dataclass(frozen=True, slots=True)
class LocalModel:
    # "org/repo:QUANT", or the file's own name where two have this quantisation; of a folder: the
    # file's path in it, without its end; of another place: its full path
    name: str
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
        """Only complete ones, by name; no two have the same."""
        found: dict[str, LocalModel] = {}
        for model in self._cached():
            found.setdefault(model.name.lower(), model)
        for folder, model in self._in_folders():
            names = (model.name, f"{folder.name}/{model.name}", str(model.path))
            own = next(name for name in names if name.lower() not in found or name == names[-1])
            found[own.lower()] = replace(model, name=own)
        return sorted(found.values(), key=lambda model: model.name.lower())

    def find(self, name: str) -> LocalModel:
        """By name, by repository, or by file. Raises UnknownModel."""
        models, wanted = self.all(), name.strip().lower()
        for fits in (
            [m for m in models if m.name.lower() == wanted],
            [m for m in models if m.repo.lower() == wanted],
            [m for m in models if wanted in (str(m.path).lower(), m.path.name.lower())],
            _referred(models, name),
        ):
            if len(fits) == 1:
                return fits[0]
            if fits:
                raise _several(name, fits)
        raise UnknownModel(f"there is no model {name[:200]!r} here; see `llamactl models ls`")

    def at(self, path: Path) -> LocalModel | None:
        """A file that is in none of the places that are searched; None if it is incomplete."""
        with suppress(OSError, ValueError):
            if model := _model(path, str(path)):
                return replace(model, projector=beside(path))
        return None

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
        except InvalidRequest as exc:
            raise UnknownModel(exc.message) from exc
        found = fitting(self.all(), wanted)
        if len(found) == 1:
            return found[0]
        if found:
            raise _several(name, found)
        raise UnknownModel(
            f"{name} is not on this machine; download it with `llamactl models pull {name}`"
        )

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
        """Of a repository, what its branch `main` leads to comes first, then the newest."""
        for folder in _folders_in(self.cache):
            org, _, name = folder.name.removeprefix(_REPO).partition("--")
            if not folder.name.startswith(_REPO) or not name:
                continue
            snapshots = {one: _files_in(one, folder) for one in _snapshots(folder)}
            spare = Projectors(file for files in snapshots.values() for file in files)
            for snapshot, files in snapshots.items():
                models = [*_models_in(snapshot, files, snapshot)]
                quants = [model.quant for model in models]
                for model in models:
                    unique = model.quant and quants.count(model.quant) == 1
                    tag = model.quant if unique else model.path.stem
                    sees = model.projector or _of_others(model.path, snapshot, snapshots, spare)
                    repo = f"{org}/{name}"
                    yield replace(model, name=f"{repo}:{tag}", repo=repo, projector=sees)

    def _in_folders(self) -> Iterator[tuple[Path, LocalModel]]:
        for folder in (folder.expanduser() for folder in self._folders):
            for model in _models_in(folder, _files_in(folder, None), None):
                yield folder, model


def _referred(models: Sequence[LocalModel], name: str) -> list[LocalModel]:
    try:
        return fitting(models, read_reference(name))
    except InvalidRequest:
        return []


def _several(name: str, fits: Sequence[LocalModel]) -> UnknownModel:
    names = ", ".join(m.name for m in fits)
    return UnknownModel(f"{name} matches several models: {names}; use one of these names")


def _snapshots(repo: Path) -> list[Path]:
    main = ""
    with suppress(OSError, UnicodeDecodeError):
        main = (repo / "refs" / "main").read_text().strip()
    dated = []
    for snapshot in _folders_in(repo / "snapshots"):
        with suppress(OSError):
            dated.append((snapshot.name != main, -snapshot.stat().st_mtime, snapshot))
    return [snapshot for _, _, snapshot in sorted(dated)]


def _of_others(
    model: Path, snapshot: Path, snapshots: Iterable[Path], spare: Projectors
) -> Path | None:
    """A projector that came with another snapshot of the model's repository."""
    for other in snapshots:
        if found := spare.of(other / model.relative_to(snapshot), other):
            return found
    return None


def _models_in(folder: Path, files: Sequence[Path], top: Path | None) -> Iterator[LocalModel]:
    """`top`: where projectors may be at the highest; None: above folders of quantisations."""
    projectors = Projectors(files)
    for file in files:
        with suppress(OSError, ValueError):
            if model := _model(file, str(file.relative_to(folder).with_suffix(""))):
                highest = top or max(folder, top_of(file), key=lambda one: len(one.parts))
                yield replace(model, projector=projectors.of(file, highest))


def _model(file: Path, name: str) -> LocalModel | None:
    """Without its projector; None for a projector, a later part, or what is incomplete.

    Raises OSError, ValueError.
    """
    parts = tuple(file.with_name(part) for part in part_names(file.name))
    if is_projector(file.name) or parts[0] != file or not all(map(Path.is_file, parts)):
        return None
    return LocalModel(
        name=name,
        files=parts,
        size=sum(part.stat().st_size for part in parts),
        modified=file.stat().st_mtime,
        quant=quant_of(f"{file.parent.name}/{file.name}"),
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


def _files_in(folder: Path, within: Path | None) -> list[Path]:
    """`within`: links must stay in this folder, because its files came from elsewhere."""
    if within is None:
        return _gguf_files(folder)
    root = within.resolve()
    return [file for file in _gguf_files(folder) if file.resolve().is_relative_to(root)]


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
