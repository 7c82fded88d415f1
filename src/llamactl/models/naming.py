"""How people name a model, and what the names of its files say.

`org/repo`, `org/repo:quant`, `org/repo/file.gguf`, with or without `hf://` or the hub's address
before it, as pages, other programs and a browser's address line have them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Protocol, TypeVar
from urllib.parse import unquote

from llamactl.core.errors import InvalidRequest
from llamactl.core.model import part_names, without_part

_SCHEME = re.compile(r"(hf://|hf:|https?://[^/]+/)", re.IGNORECASE)
# A host without a scheme: organisations have no dots. Behind it are at least two more words.
_HOST = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+(:\d+)?/(?=[^/]+/[^/]+)")
_VIEW = re.compile(r"/(resolve|blob|raw)/[^/]+/")  # of a file, and its revision
_TREE = re.compile(r"/tree/[^/]+/?")  # of a folder
_ANY = "latest"  # what other programs call a model by whose quantisation nobody named
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}\Z")
# From the right, as `Qwen2-Q4_K_M-imat` and `UD-Q4_K_XL` are in use.
_QUANT = re.compile(
    r"(?:^|[-._/])((?:UD-)?(?:I?Q[1-8](?:_(?:[0-9]|K|NL|X*[SML]))*|TQ[12]_0|BF16|F(?:16|32)|"
    r"MXFP4(?:_MOE)?|NVFP4))(?=$|[-._/])",
    re.IGNORECASE,
)
# What is taken where nobody said which: good and small first, then whatever there is.
PREFERRED = ("Q4_K_M", "Q4_K_S", "UD-Q4_K_XL", "Q4_0", "Q5_K_M", "Q8_0", "MXFP4", "F16", "BF16")
# Of projectors: small and good enough first.
PROJECTORS = ("F16", "BF16", "Q8_0", "F32")


@dataclass(frozen=True, slots=True)
class Reference:
    repo: str  # "org/name"
    quant: str = ""
    file: str = ""  # path in the repository

    def __str__(self) -> str:
        tail = f"/{self.file}" if self.file else f":{self.quant}" if self.quant else ""
        return f"{self.repo}{tail}"


@dataclass(frozen=True, slots=True)
class RemoteFile:
    path: str  # in the repository
    size: int
    sha256: str = ""  # of what is stored as LFS


@dataclass(frozen=True, slots=True)
class Choice:
    """A model of a repository: all its parts."""

    quant: str
    files: tuple[RemoteFile, ...]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def path(self) -> str:
        return self.files[0].path


def read_reference(text: str) -> Reference:
    """Raises InvalidRequest for what names no repository."""
    name = unquote(re.sub(r"[?#].*", "", text.strip(), flags=re.DOTALL))
    name, addressed = _SCHEME.subn("", name, count=1)
    if not addressed and (host := _HOST.match(name)) and not _names_file(name):
        name = name[host.end() :]
    name, is_file = _VIEW.subn("/", name, count=1)
    if not is_file:
        name = _TREE.sub(":", name, count=1)
    name, _, quant = name.rstrip("/").partition(":")
    parts = name.rstrip("/").split("/")
    two_given = len(parts) >= 2 and all(map(_PART.match, parts[:2]))  # noqa: PLR2004  org, name
    file = "/".join(parts[2:])
    if not two_given or not is_safe(file) or (quant and file) or len(text) > 500:  # noqa: PLR2004
        raise InvalidRequest(
            f"{text[:100]!r} is not a model name; write org/repo, org/repo:quant or "
            "org/repo/file.gguf"
        )
    return Reference("/".join(parts[:2]), "" if quant.lower() == _ANY else quant, file)


def _names_file(name: str) -> bool:
    """Is it `org/repo/file.gguf`, whose organisation looks like a host?"""
    return name.count("/") == 2 and name.endswith(".gguf")  # noqa: PLR2004


def is_safe(path: str) -> bool:
    """Does a path of a repository stay in its folder?"""
    parts = path.split("/")
    return not path or (
        not path.startswith("/")
        and all(part not in ("", ".", "..") for part in parts)
        and not set(path) & set("\\\0:")
        and len(path) < 500  # noqa: PLR2004
    )


def quant_of(path: str) -> str:
    """Of a file's name; "" if it names none."""
    found = _QUANT.findall(without_part(path.removesuffix(".gguf")))
    return found[-1].upper() if found else ""


def stem_of(path: str) -> str:
    """What a model is called by whose quantisation is not known, or another's too."""
    return path.rpartition("/")[2].removesuffix(".gguf")


def is_projector(path: str) -> bool:
    return "mmproj" in path.rpartition("/")[2].lower()


def choices(files: Iterable[RemoteFile]) -> list[Choice]:
    """The models of a repository; of split ones, those whose parts are all there."""
    known = {f.path: f for f in files if f.path.endswith(".gguf") and is_safe(f.path)}
    found = []
    for path in sorted(known):
        folder, slash, name = path.rpartition("/")
        try:
            names = [f"{folder}{slash}{part}" for part in part_names(name)]
        except ValueError:
            continue
        if not is_projector(path) and names[0] == path and all(n in known for n in names):
            found.append(Choice(quant_of(path), tuple(known[n] for n in names)))
    return found


class Tagged(Protocol):
    @property
    def quant(self) -> str: ...

    @property
    def path(self) -> Path | str: ...


class Held(Tagged, Protocol):
    """A model on a machine."""

    @property
    def repo(self) -> str: ...

    @property
    def files(self) -> Sequence[Path | str]: ...


H = TypeVar("H", bound=Held)
T = TypeVar("T", bound=Tagged)


def fitting(models: Iterable[H], wanted: Reference) -> list[H]:
    """Several only where the reference fits several; as a download would choose."""
    mine = [m for m in models if m.repo and m.repo.lower() == wanted.repo.lower()]
    if wanted.file:
        return [m for m in mine if any(str(f).endswith(f"/{wanted.file}") for f in m.files)][:1]
    return _tagged(mine, wanted.quant, lambda m: PurePath(m.path).name)


def _tagged(found: Sequence[T], tag: str, text: Callable[[T], str]) -> list[T]:
    """By quantisation, else by file name, else by a part of its text; the usual one without a tag.

    Several only where the tag fits several.
    """
    if not tag:
        return [*(one for quant in PREFERRED for one in found if one.quant == quant), *found][:1]
    tag = tag.lower()
    return (
        [one for one in found if one.quant.lower() == tag]
        or [one for one in found if stem_of(str(one.path)).lower() == tag]
        or [one for one in found if tag in text(one).lower()]
    )


def choose(found: Sequence[Choice], wanted: Reference) -> Choice:
    """Raises InvalidRequest, with what there is, if nothing or more than one thing fits."""
    if wanted.file:
        fits = [c for c in found if any(f.path == wanted.file for f in c.files)]
    else:
        fits = _tagged(found, wanted.quant, lambda c: c.path)
    if len(fits) == 1:
        return fits[0]
    there = ", ".join(c.quant or c.files[0].path for c in found[:40]) or "no GGUF file"
    what = "matches several of" if fits else "is not among"
    raise InvalidRequest(
        f"{wanted} {what} the models of {wanted.repo}: {there}",
        details={"choices": [c.files[0].path for c in (fits or found)[:40]]},
    )


def projector(files: Iterable[RemoteFile]) -> RemoteFile | None:
    """The one that goes with a model that can see or hear."""
    found = [f for f in files if is_projector(f.path) and f.path.endswith(".gguf")]
    order = {quant: n for n, quant in enumerate(PROJECTORS)}
    found.sort(key=lambda f: (order.get(quant_of(f.path), len(order)), f.path))
    return next((f for f in found if is_safe(f.path)), None)
