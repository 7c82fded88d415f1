"""The models of this machine: which there are, what each is called, which projector it has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llamactl.core.errors import InvalidRequest, UnknownModel
from llamactl.models import Catalog
from llamactl.models.naming import Reference, read_reference

OLD, NEW = "a" * 40, "b" * 40


class Repository:
    """In the hub's cache."""

    def __init__(self, cache: Path, name: str = "org/M") -> None:
        self._folder = cache / f"models--{name.replace('/', '--')}"

    def snapshot(self, commit: str, *names: str, modified: int) -> Repository:
        folder = self._folder / "snapshots" / commit
        folder.mkdir(parents=True)
        for name in names:
            blob = self._folder / "blobs" / f"{commit[0]}{name.replace('/', '-')}"
            for file in (blob, folder / name):
                file.parent.mkdir(parents=True, exist_ok=True)
            blob.write_bytes(b"x")
            os.utime(blob, (modified, modified))
            (folder / name).symlink_to(blob)
        os.utime(folder, (modified, modified))
        return self

    def main(self, commit: str) -> None:
        (self._folder / "refs").mkdir()
        (self._folder / "refs/main").write_text(commit)


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def projectors(catalog: Catalog) -> dict[str, str | None]:
    return {m.name: m.projector.name if m.projector else None for m in catalog.all()}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("hf.co/org/M:Q4_K_M", Reference("org/M", "Q4_K_M")),
        ("huggingface.co/org/M", Reference("org/M")),
        ("www.huggingface.co/org/M/", Reference("org/M")),
        ("hub.example:8443/org/M:Q8_0", Reference("org/M", "Q8_0")),
        ("HTTPS://HF.co/org/M", Reference("org/M")),
        ("hf:org/M", Reference("org/M")),
        ("https://hf.co/org/M/resolve/main/m.gguf?download=true", Reference("org/M", "", "m.gguf")),
        ("hf.co/org/M/blob/main/s/m.gguf#L1", Reference("org/M", "", "s/m.gguf")),
        ("https://hf.co/org/M/resolve/main/a%2Bb.gguf", Reference("org/M", "", "a+b.gguf")),
        ("https://hf.co/org/M/tree/main", Reference("org/M")),
        ("https://hf.co/org/M/tree/main/UD-Q4_K_XL", Reference("org/M", "UD-Q4_K_XL")),
        ("org/M:latest", Reference("org/M")),
        ("or.g/M/m.gguf", Reference("or.g/M", "", "m.gguf")),
    ],
)
def test_a_model_may_be_named_as_pages_and_other_programs_name_it(
    text: str, wanted: Reference
) -> None:
    assert read_reference(text) == wanted


@pytest.mark.parametrize("path", ["/org/M/m.gguf", "./org/M", "../org/M:Q4", "~/org/M/m.gguf"])
def test_a_path_is_no_name_on_the_hub(path: str) -> None:
    with pytest.raises(InvalidRequest, match="is not a model name"):
        read_reference(path)


def test_the_branch_main_counts_before_the_newest_file(tmp_path: Path) -> None:
    of_hub = Repository(tmp_path)
    of_hub.snapshot(OLD, "m-Q4_0.gguf", "m-Q8_0.gguf", modified=2000)
    of_hub.snapshot(NEW, "m-Q4_0.gguf", modified=1000).main(NEW)
    catalog = Catalog(tmp_path, [])

    found = {model.name: model.path.parent.name for model in catalog.all()}

    assert found == {"org/M:Q4_0": NEW, "org/M:Q8_0": OLD}
    given = catalog.resolve({"hf_repo": "hf.co/org/M:Q4_0"})["model"]
    assert NEW in str(given)


def test_without_a_branch_main_the_newest_snapshot_counts(tmp_path: Path) -> None:
    of_hub = Repository(tmp_path).snapshot(OLD, "m-Q4_0.gguf", modified=1000)
    of_hub.snapshot(NEW, "m-Q4_0.gguf", modified=2000)

    assert [model.path.parent.name for model in Catalog(tmp_path, []).all()] == [NEW]


def test_files_of_one_quantisation_are_told_apart_by_their_names(tmp_path: Path) -> None:
    Repository(tmp_path).snapshot(OLD, "a-Q4_0.gguf", "b-Q4_0.gguf", "b-Q8_0.gguf", modified=1)
    catalog = Catalog(tmp_path, [])

    assert [m.name for m in catalog.all()] == ["org/M:a-Q4_0", "org/M:b-Q4_0", "org/M:Q8_0"]
    assert catalog.find("org/M:b-Q4_0").path.name == "b-Q4_0.gguf"
    assert catalog.find("hf.co/org/M:b-q8_0").path.name == "b-Q8_0.gguf"
    with pytest.raises(UnknownModel, match="several models: org/M:a-Q4_0, org/M:b-Q4_0"):
        catalog.resolve({"hf_repo": "org/M:Q4_0"})


def test_files_of_one_name_in_two_folders_are_both_listed(tmp_path: Path) -> None:
    write(tmp_path / "one", "m.gguf")
    write(tmp_path / "two", "m.gguf")
    catalog = Catalog(tmp_path / "none", [tmp_path / "one", tmp_path / "two"])

    assert {m.name: m.path.parent.name for m in catalog.all()} == {"m": "one", "two/m": "two"}


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ([], ["m-Q4_0.gguf", "mmproj-F32.gguf", "mmproj-F16.gguf"], "mmproj-F16.gguf"),
        ([], ["Q4_0/m-Q4_0.gguf", "mmproj-F16.gguf"], "mmproj-F16.gguf"),
        ([], ["Q4_0/m-Q4_0.gguf", "mmproj-F16.gguf", "Q4_0/mmproj-m.gguf"], "mmproj-m.gguf"),
        (["mmproj-F16.gguf"], ["m-Q4_0.gguf"], "mmproj-F16.gguf"),
        (["mmproj-F16.gguf"], ["Q4_0/m-Q4_0.gguf"], "mmproj-F16.gguf"),
        (["other/mmproj-F16.gguf"], ["m-Q4_0.gguf"], None),
    ],
)
def test_a_projector_is_found_where_repositories_have_it(
    tmp_path: Path, old: list[str], new: list[str], found: str | None
) -> None:
    Repository(tmp_path).snapshot(OLD, *old, modified=1).snapshot(NEW, *new, modified=2).main(NEW)

    assert projectors(Catalog(tmp_path, [])) == {"org/M:Q4_0": found}


def test_a_projector_belongs_to_the_model_whose_name_it_bears(tmp_path: Path) -> None:
    write(tmp_path, "gemma-3-4b-it-Q4_K_M.gguf", "mmproj-gemma-3-4b-it-f16.gguf",
          "qwen2-vl-Q8_0-00001-of-00001.gguf", "qwen2-vl-mmproj-model-f16.gguf",
          "llama-Q4_0.gguf")  # fmt: skip

    assert projectors(Catalog(tmp_path / "none", [tmp_path])) == {
        "gemma-3-4b-it-Q4_K_M": "mmproj-gemma-3-4b-it-f16.gguf",
        "llama-Q4_0": None,
        "qwen2-vl-Q8_0-00001-of-00001": "qwen2-vl-mmproj-model-f16.gguf",
    }


def test_in_a_folder_of_ones_own_a_projector_is_looked_for_above_quantisations_alone(
    tmp_path: Path,
) -> None:
    write(tmp_path, "org/M/Q4_0/m.gguf", "org/M/mmproj.gguf", "org/N/n.gguf", "mmproj-any.gguf")

    assert projectors(Catalog(tmp_path / "none", [tmp_path])) == {
        "org/M/Q4_0/m": "mmproj.gguf", "org/N/n": None,
    }  # fmt: skip


def test_a_file_outside_all_folders_has_its_projector_too(tmp_path: Path) -> None:
    write(tmp_path, "Q4_0/m.gguf", "mmproj.gguf", "part-00001-of-00002.gguf")
    catalog = Catalog(tmp_path / "none", [])

    found = catalog.at(tmp_path / "Q4_0/m.gguf")

    assert found is not None and found.name == str(tmp_path / "Q4_0/m.gguf")
    assert found.projector == tmp_path / "mmproj.gguf"
    assert catalog.at(tmp_path / "mmproj.gguf") is None
    assert catalog.at(tmp_path / "part-00001-of-00002.gguf") is None
