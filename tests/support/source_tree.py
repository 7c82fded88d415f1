"""A small CMake project in the place of llama.cpp's source code, which takes minutes to compile."""

from __future__ import annotations

from pathlib import Path

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
    """With this as its program."""
    folder.mkdir()
    (folder / "CMakeLists.txt").write_text(_CMAKE)
    (folder / "main.cpp").write_text(main or _MAIN % PYTHON)
    (folder / "LICENSE").write_text("of the source code")
    return folder
