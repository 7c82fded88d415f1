"""What an engine's processes take of the memory: /proc/PID/smaps."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from llamactl.core.memory import MeasuredMemory
from llamactl.core.model import part_names
from llamactl.node.host import gpus


def usage(processes: Iterable[int], models: Collection[str]) -> MeasuredMemory | None:
    """Of all these together; None if nothing is known.

    `models`: paths of model files, whose pages are counted separately.
    Pages that processes share are divided among them (PSS), those of the models are not (RSS):
    each process that maps a model needs all of it. https://docs.kernel.org/filesystems/proc.html
    """
    ram = shared = 0
    mapped = {path for model in models for path in _parts(model)}
    pids = set(processes)
    for pid in pids:
        with suppress(OSError):
            text = Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8", errors="replace")
            more_ram, more_shared = _sum(text.splitlines(), mapped)
            ram, shared = ram + more_ram, max(shared, more_shared)
    return MeasuredMemory(ram, shared, gpus.taken(pids)) if ram else None


def _parts(model: str) -> Iterator[str]:
    """A model's files, as mappings name them: behind all links."""
    path = Path(model)
    with suppress(ValueError):
        for name in part_names(path.name):
            part = path.with_name(name)
            yield str(part)  # in a container, where it is mounted by this name
            with suppress(OSError, RuntimeError):  # links that lead in a circle
                yield str(part.resolve())


def _sum(lines: Iterable[str], mapped: Collection[str]) -> tuple[int, int]:
    ram = shared = 0
    of_model = False
    for line in lines:
        name, _, value = line.partition(":")
        if name == "Rss" and of_model:
            shared += int(value.split()[0]) << 10
        elif name == "Pss" and not of_model:
            ram += int(value.split()[0]) << 10
        elif "-" in name.split(" ", 1)[0]:  # a mapping begins: "55d0-55d1 r-xp ... path"
            fields = line.split(maxsplit=5)
            of_model = len(fields) == 6 and fields[5] in mapped  # noqa: PLR2004
    return ram, shared


def total_ram() -> int | None:
    """Bytes that all processes may take: of the machine, or less in a control group."""
    limits = [_meminfo(), *map(_group_limit, _GROUP_LIMITS)]
    known = [limit for limit in limits if limit]
    return min(known) if known else None


_GROUP = "/sys/fs/cgroup"
_GROUP_LIMITS = (f"{_GROUP}/memory.max", f"{_GROUP}/memory/memory.limit_in_bytes")


def free_ram() -> int | None:
    """Bytes that can be had without swapping, of the machine."""
    return _meminfo("MemAvailable:")


def cache_room() -> int | None:
    """Bytes that files may take in the page cache; None if that is not known.

    For these nothing is swapped out, and nothing is dropped that processes have mapped, as the
    weights of running engines are. A tenth of the memory stays free.
    """
    total, free, mapped = total_ram(), free_ram(), _meminfo("Mapped:")
    if total is None or free is None or mapped is None:
        return None
    room = free - mapped
    if (limit := _group_limit(_GROUP_LIMITS[0])) is None:
        if total != _meminfo():  # a limit of the first kind of control groups
            return None
    else:
        held = _group_numbers("memory.stat")
        unmapped = held.get("file", 0) - held.get("file_mapped", 0)
        used = _group_limit(f"{_GROUP}/memory.current") or limit
        room = min(room, limit - used + unmapped)
    return room - total // 10


def _group_numbers(name: str) -> dict[str, int]:
    with suppress(OSError, ValueError):
        lines = Path(_GROUP, name).read_text(encoding="ascii").splitlines()
        return {key: int(value) for key, value in map(str.split, lines)}
    return {}


def free_disk(path: Path) -> int | None:
    with suppress(OSError):
        return shutil.disk_usage(path).free
    return None


def _meminfo(name: str = "MemTotal:") -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith(name):
                return int(line.split()[1]) << 10
    return None


def _group_limit(path: str) -> int | None:
    with suppress(OSError, ValueError):
        return int(Path(path).read_text(encoding="ascii"))  # "max" is not a number
    return None
