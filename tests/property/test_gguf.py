"""The header reader: as the `gguf` package reads it, and unharmed by any bytes."""

from __future__ import annotations

from pathlib import Path

import gguf
import hypothesis.strategies as st
import pytest
from hypothesis import given
from server import model_path

from llamactl.models import GgufReader, UnreadableModel
from llamactl.models.quantization import BLOCKS, FILE_TYPES, TYPE_NAMES
from support.gguf_file import Shape, write_tiny_gguf


def oracle(path: Path) -> tuple[int, int, int]:
    reader = gguf.GGUFReader(str(path))
    architecture = str(reader.fields["general.architecture"].contents())
    weights = sum(int(tensor.n_bytes) for tensor in reader.tensors)
    layers = reader.fields[f"{architecture}.block_count"].contents()
    return weights, int(layers), len(reader.fields["tokenizer.ggml.tokens"].data)


@pytest.mark.parametrize("kind", [pytest.param("real", marks=pytest.mark.late), "tiny", "wide"])
def test_a_header_is_read_as_the_gguf_package_reads_it(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    if kind == "real":
        path = model_path()
    else:
        wide = Shape(layers=5, embedding=96, heads=6, kv_heads=2, vocabulary=5000)
        write_tiny_gguf(path, Shape() if kind == "tiny" else wide)

    shape = GgufReader().shape(path)

    assert (shape.weights, shape.layers, shape.vocabulary) == oracle(path)
    assert len(shape.layer_bytes) == shape.layers and all(shape.layer_bytes)
    assert shape.files[0].size == path.stat().st_size


def test_block_sizes_are_those_of_the_gguf_package() -> None:
    theirs = {kind.value: tuple(sizes) for kind, sizes in gguf.GGML_QUANT_SIZES.items()}

    assert {kind: tuple(block) for kind, block in BLOCKS.items()} == theirs


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "m.gguf"
    write_tiny_gguf(path)
    return path


PATCHES = st.tuples(
    st.integers(0, 11_999), st.sampled_from([b"\xff" * 8, b"\0" * 8, b"\x09\0\0\0", b"\x7f"])
)


@given(length=st.integers(0, 12_000), patches=st.lists(PATCHES, max_size=4))
def test_no_bytes_do_harm(whole: Path, length: int, patches: list[tuple[int, bytes]]) -> None:
    path, content = whole.with_name("broken.gguf"), whole.read_bytes()
    changed = bytearray(content[:length])
    for at, patch in patches:
        changed[at : at + len(patch)] = patch
    path.write_bytes(changed)

    try:
        shape = GgufReader().shape(path)
    except UnreadableModel as exc:
        assert str(exc)
    else:
        assert shape.weights <= 64 * len(content)


@pytest.mark.parametrize("what", ["missing", "folder", "empty", "text", "part"])
def test_what_is_no_model_says_so(what: str, tmp_path: Path) -> None:
    path = tmp_path / ("m-00001-of-99999.gguf" if what == "part" else "m.gguf")
    if what == "folder":
        path.mkdir()
    elif what in ("empty", "text"):
        path.write_text("" if what == "empty" else "hello")

    with pytest.raises(UnreadableModel, match=path.name):
        GgufReader().shape(path)


def test_a_split_model_is_the_sum_of_its_parts(tmp_path: Path) -> None:
    for number in (1, 2):
        write_tiny_gguf(tmp_path / f"m-0000{number}-of-00002.gguf")
    one = tmp_path / "one.gguf"
    write_tiny_gguf(one)

    split = GgufReader().shape(tmp_path / "m-00001-of-00002.gguf")

    assert split.weights == 2 * GgufReader().shape(one).weights
    assert len(split.files) == 2


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    reader = GgufReader()
    write_tiny_gguf(path)
    assert reader.shape(path).layers == 2
    assert reader.shape(path) is reader.shape(path)

    write_tiny_gguf(path, Shape(layers=3))

    assert reader.shape(path).layers == 3


def test_type_names_are_those_of_the_gguf_package() -> None:
    theirs = {kind.value: kind.name for kind in gguf.GGMLQuantizationType}
    files = {kind.value: kind.name.split("_", 1)[1] for kind in gguf.LlamaFileType if kind < 1024}

    assert {kind: theirs[kind] for kind in BLOCKS} == TYPE_NAMES
    assert files == FILE_TYPES
