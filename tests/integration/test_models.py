"""Model files: listed, inspected, used by their repository's name, removed."""

from __future__ import annotations

import json
import os
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Any

import gguf
import pytest
from server import model_path

from llamactl.client import Client
from llamactl.core.errors import InvalidRequest, LlamactlError
from llamactl.models import Catalog, inspect
from llamactl.models.naming import RemoteFile, choices, choose, quant_of, read_reference
from support.gguf_file import write_tiny_gguf
from support.hub import hub
from support.installed import PYTHON
from support.instance_ports import instance_ports
from support.served import Served, data_folder, serve
from support.waits import until

MODELS = "/api/v1/models"


def llamactl(server: Served, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PYTHON, "-m", "llamactl", *words, "--data-dir", str(server.data_dir)],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, **instance_ports(), "HOME": str(server.data_dir)},
    )  # fmt: skip


def test_an_inspection_says_what_the_gguf_package_says() -> None:
    path = model_path()
    reader = gguf.GGUFReader(str(path))
    seen = inspect(path)

    def said(name: str) -> Any:
        return reader.fields[name].contents()

    assert seen.parameters == sum(int(tensor.n_elements) for tensor in reader.tensors)
    assert seen.quantization == gguf.LlamaFileType(said("general.file_type")).name[7:]
    assert (seen.name, seen.shape.architecture) == (
        said("general.name"), said("general.architecture"),
    )  # fmt: skip
    assert seen.shape.context == said("llama.context_length")
    assert seen.chat_template == said("tokenizer.chat_template")
    assert seen.tokenizer == said("tokenizer.ggml.model")


def test_from_the_hub_to_an_answer_and_away(tmp_path: Path) -> None:
    with hub() as there:
        write_tiny_gguf(tmp_path / "t.gguf")
        there.repos["org/Tiny-GGUF"] = {
            "Tiny-Q8_0.gguf": (tmp_path / "t.gguf").read_bytes(), "Tiny-F16.gguf": b"",
        }  # fmt: skip
        environment = there.environment(tmp_path / "hub")
        with serve(data_folder(tmp_path, ""), environment) as server:
            said = llamactl(server, "run", "org/Tiny-GGUF", "Hello", "--set", "max_tokens=2")
            assert (said.returncode, bool(said.stdout)) == (0, True), said.stderr
            assert "downloading org/Tiny-GGUF" in said.stderr
            named = {"hf_repo": "org/Tiny-GGUF:Q8_0"}
            made = server.request("POST", "/api/v1/instances/by-repo", named)
            assert made.json()["status"] == "running", made.text
            never = server.request("POST", "/api/v1/instances/never", {"hf_repo": "org/other"})
            assert "llamactl models pull org/other" in never.text

            (row,) = json.loads(llamactl(server, "models", "ls", "--json").stdout)
            assert sorted(row["used_by"]) == ["by-repo", "tiny-gguf"]
            refused = server.request("DELETE", f"{MODELS}?model={row['name']}")
            assert (refused.status_code, "tiny-gguf" in refused.text) == (409, True)
            assert llamactl(server, "rm", "tiny-gguf", "by-repo", "never").returncode == 0
            assert llamactl(server, "models", "rm", row["name"]).returncode == 0
            assert server.request("GET", MODELS).json() == []
    assert not (tmp_path / "hub/models--org--Tiny-GGUF").exists()


def test_what_fits_is_told_before_it_is_tried(tmp_path: Path) -> None:
    settings = "instances: {memory_budget: 100000000}"
    with serve(data_folder(tmp_path, settings)) as server:
        for context, fits in ((64, True), (100_000, False)):
            path = f"{MODELS}/inspect?model={model_path()}&ctx_size={context}"
            seen = server.request("GET", path).json()
            assert (seen["memory"]["fits"], seen["memory"]["budget"]) == (fits, 100_000_000)
        text = llamactl(server, "models", "inspect", str(model_path()), "-c", "100000").stdout
        assert "does not fit" in text and "135 M" in text


def test_folders_of_files_are_listed(tmp_path: Path) -> None:
    for name in ("a-Q4_0.gguf", "sub/b-00001-of-00002.gguf", "sub/b-00002-of-00002.gguf",
                 "sub/c-00001-of-00002.gguf", "mmproj-x.gguf", ".hidden/d.gguf"):  # fmt: skip
        path = tmp_path / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    data = data_folder(tmp_path, f"models: {{folders: [{tmp_path}/models]}}")
    with serve(data, {"HF_HUB_CACHE": str(tmp_path / "none")}) as server:
        rows = server.request("GET", MODELS).json()

    assert [(row["name"], row["size"]) for row in rows] == [
        ("a-Q4_0", 1), ("sub/b-00001-of-00002", 2),
    ]  # fmt: skip
    assert rows[0]["mmproj"].endswith("mmproj-x.gguf")


FILES = [
    RemoteFile(name, 1)
    for name in (
        "M-IQ2_XS.gguf", "M-Q4_K_M.gguf", "M-UD-Q4_K_XL.gguf", "Q8_0/M-Q8_0-00001-of-00002.gguf",
        "Q8_0/M-Q8_0-00002-of-00002.gguf", "mmproj-F16.gguf", "BF16/M-BF16-00001-of-00003.gguf",
        "README.md",
    )
]  # fmt: skip


def test_names_choose_what_they_say() -> None:
    found = choices(FILES)
    assert [c.quant for c in found] == ["IQ2_XS", "Q4_K_M", "UD-Q4_K_XL", "Q8_0"]
    for text, quant in (
        ("o/m", "Q4_K_M"), ("o/m:q8_0", "Q8_0"), ("hf://o/m:UD-Q4_K_XL", "UD-Q4_K_XL"),
        ("https://hub.example/o/m/blob/main/M-IQ2_XS.gguf", "IQ2_XS"),
        ("o/m/Q8_0/M-Q8_0-00001-of-00002.gguf", "Q8_0"),
    ):  # fmt: skip
        assert choose(found, read_reference(text)).quant == quant
    assert len(choose(found, read_reference("o/m:Q8_0")).files) == 2
    with pytest.raises(InvalidRequest, match="matches several"):
        choose(found, read_reference("o/m:Q4"))


@pytest.mark.parametrize(
    ("name", "quant"),
    [("a.Q4_K_M.gguf", "Q4_K_M"), ("a-f16.gguf", "F16"), ("a-MXFP4_MOE.gguf", "MXFP4_MOE"),
     ("Qwen3-8B.gguf", ""), ("a-iq4_nl-imat.gguf", "IQ4_NL"), ("x-TQ1_0.gguf", "TQ1_0"),
     ("Q3-model-Q5_K_S.gguf", "Q5_K_S")],
)  # fmt: skip
def test_a_file_names_its_quantisation(name: str, quant: str) -> None:
    assert quant_of(name) == quant


def test_a_link_in_a_folder_goes_alone(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.gguf").write_bytes(b"precious")
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "linked.gguf").symlink_to(tmp_path / "elsewhere.gguf")
    catalog = Catalog(tmp_path / "none", [folder])

    catalog.remove(catalog.find("linked"))

    assert [*folder.iterdir()] == [] and (tmp_path / "elsewhere.gguf").exists()


def test_the_hub_is_searched_and_a_repository_looked_into(tmp_path: Path) -> None:
    with hub() as there:
        there.repos["org/Small-GGUF"] = {
            "s-Q4_K_M.gguf": b"4" * 40, "s-Q8_0-00001-of-00002.gguf": b"8" * 50,
            "s-Q8_0-00002-of-00002.gguf": b"8" * 30, "mmproj-F16.gguf": b"e", "README.md": b"r",
        }  # fmt: skip
        there.repos["org/Other-GGUF"] = {"o-Q4_0.gguf": b"o"}
        there.gated.add("org/Other-GGUF")
        data = data_folder(tmp_path, "instances: {memory_budget: 60}")
        with serve(data, there.environment(tmp_path / "hub")) as server:
            with Client(server.url, api_key=server.key) as client:
                found = {row.repo: row.gated for row in client.models.search("gguf")}
                assert found == {"org/Small-GGUF": False, "org/Other-GGUF": True}
                assert [row.repo for row in client.models.search("small")] == ["org/Small-GGUF"]
                assert client.models.search("nothing like it") == []
                inside = client.models.repository("org/Small-GGUF")
                with pytest.raises(LlamactlError, match="accept its terms"):
                    client.models.repository("org/Other-GGUF")
                with pytest.raises(LlamactlError, match="no such repository"):
                    client.models.repository("org/never")
            refused = server.request("GET", f"{MODELS}/repository?repo=../../etc")
            assert (refused.status_code, "../../etc" in refused.text) == (400, True)
    rows = [(c.quant, c.size, c.parts, c.fits) for c in inside.choices]
    assert (rows, inside.mmproj) == ([("Q4_K_M", 40, 1, True), ("Q8_0", 80, 2, False)], True)


def test_a_download_waits_while_it_is_paused(tmp_path: Path) -> None:
    whole = bytes(3 << 20)
    with hub() as there:
        there.repos["org/t"] = {"t-Q8_0.gguf": whole}
        there.pause_at = 1 << 20
        data, environment = data_folder(tmp_path, ""), there.environment(tmp_path / "hub")
        with serve(data, environment) as server, Client(server.url, server.key) as client:
            job = client.models.download("org/t")
            assert there.paused.wait(60)
            part = tmp_path / "hub/models--org--t/blobs" / f"{sha256(whole).hexdigest()}.part"
            until(
                "the part on disk", lambda: part.stat().st_size, lambda size: size >= there.pause_at
            )
            assert client.models.pause(job.id).state == "paused"
            assert client.models.pause(job.id).state == "paused"
            there.pause_at, there.hangs_up = 0, True
            there.go_on.set()
        with serve(data, environment) as server, Client(server.url, server.key) as client:
            assert [row.state for row in client.models.jobs()] == ["paused"]  # over a restart
            client.models.resume(job.id)
            assert [row.state for row in client.models.follow(job.id)][-1] == "done"
            with pytest.raises(LlamactlError, match="only a running download"):
                client.models.pause(job.id)
            with pytest.raises(LlamactlError, match="download it again"):
                client.models.resume(job.id)
            client.models.cancel(job.id)
            assert client.models.jobs() == []
        first, second = there.ranges
        assert (first[0], second[0], second[1]) == (0, first[1], len(whole))


def test_what_instances_use_is_listed_wherever_it_is(tmp_path: Path) -> None:
    model, draft = tmp_path / "elsewhere/m.gguf", tmp_path / "elsewhere/draft.gguf"
    model.parent.mkdir()
    for file in (model, draft, model.with_name("mmproj.gguf")):
        file.write_bytes(b"x")
    nothing = {"HF_HUB_CACHE": str(tmp_path / "none")}
    with serve(data_folder(tmp_path, ""), nothing) as server:
        body = {"model": str(model), "model_draft": str(draft)}
        server.request("POST", "/api/v1/instances/mine?start=false", body)
        server.request("POST", "/api/v1/instances/gone?start=false", {"model": "/nowhere.gguf"})

        rows = server.request("GET", MODELS).json()
        refused = server.request("DELETE", f"{MODELS}?model={model}")

    assert [(row["name"], row["used_by"]) for row in rows] == [
        (str(draft), ["mine"]), (str(model), ["mine"]),
    ]  # fmt: skip
    assert rows[1]["mmproj"] == str(model.with_name("mmproj.gguf"))
    assert (refused.status_code, model.exists()) == (409, True)


def test_a_folder_is_no_model_and_its_files_are_named(served: Served, tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"x")

    refused = served.request("GET", f"{MODELS}/inspect?model={tmp_path}")

    assert refused.status_code == 400
    assert "is a folder" in refused.text and "a.gguf" in refused.text
