"""A small CMake project in the place of llama.cpp's source code, which takes minutes to compile."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from support.installed import PYTHON

_CMAKE = """cmake_minimum_required(VERSION 3.14)
set(CMAKE_CXX_COMPILER_WORKS TRUE)  # trying it would take longer than all else
project(small CXX)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
add_executable(llama-server main.cpp)
"""
# It becomes the built-in engine, so that it serves models.
_MAIN = """#include <unistd.h>
#include <vector>
int main(int, char **words) {
    std::vector<const char *> argv{"%s", "-m", "llamactl.engine"};
    while (*++words) argv.push_back(*words);
    argv.push_back(nullptr);
    return execv(argv[0], const_cast<char **>(argv.data()));
}
"""


def write_source_tree(folder: Path, main: str = "") -> Path:
    """With this as its program. Skips the test where it can't be compiled; in CI, fails it."""
    if not all(map(shutil.which, ("c++", "cmake", "ninja"))):
        (pytest.fail if os.environ.get("LLAMACTL_CI") else pytest.skip)(
            "needs c++, cmake and ninja"
        )
    folder.mkdir()
    (folder / "CMakeLists.txt").write_text(_CMAKE)
    (folder / "main.cpp").write_text(main or _MAIN % PYTHON)
    (folder / "LICENSE").write_text("of the source code")
    return folder


_PYPROJECT = """[build-system]
requires = ["of-no-index>=1"]
build-backend = "backend"
backend-path = ["."]
"""
_BACKEND = """import pathlib

def prepare_metadata_for_build_wheel(folder, settings=None):
    info = pathlib.Path(folder) / "small-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: small\\nVersion: 1.0\\n")
    return info.name
"""


def write_source_distribution(folder: Path, tree: str, main: str) -> Path:
    """One that pip finds in the folder, with the source code in `tree`; its requirements file."""
    root = folder / "small-1.0"
    (root / tree).parent.mkdir(parents=True)
    write_source_tree(root / tree, main)
    (root / "pyproject.toml").write_text(_PYPROJECT)
    (root / "backend.py").write_text(_BACKEND)
    (root / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: small\nVersion: 1.0\n")
    archive = folder / "small-1.0.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(root, root.name)
    requirements = folder / "source.txt"
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    requirements.write_text(f"small==1.0 --hash=sha256:{digest}\n")
    return requirements
