"""A data directory comes to belong to a cluster, and leaves it, by files alone."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from llamactl.cluster.certificates import Files
from llamactl.cluster.folder import ClusterFolder, Place
from llamactl.config import Settings
from llamactl.core.errors import InvalidConfig, LlamactlError
from llamactl.maintenance import membership
from llamactl.maintenance.membership import begin_cluster, join, leave

HEAD = "127.0.0.1:1"  # where nobody answers


@pytest.fixture(autouse=True)
def with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "_expect_extra", lambda: None)


def settings(folder: Path) -> Settings:
    return Settings.model_validate({"data_dir": folder})


def token_of(folder: Path) -> Path:
    """Of a new cluster."""
    begin_cluster(settings(folder), "127.0.0.1", 1, "one")
    return ClusterFolder(folder).token


def joined(folder: Path, token: Path) -> ClusterFolder:
    there = ClusterFolder(folder)
    place = Place("two", "10.0.0.2", HEAD)
    there.keep(place, token.read_text())
    there.certify(place)
    return there


def test_a_head_is_ready_at_once_and_all_of_it_is_private(tmp_path: Path) -> None:
    data = tmp_path / "head"
    token = token_of(data)
    there = ClusterFolder(data)

    assert there.place == Place("one", "127.0.0.1", HEAD, is_head=True)
    assert data.stat().st_mode & 0o777 == 0o700
    files = [path for path in there.path.rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert token in files
    Files(there.path).client()
    with pytest.raises(LlamactlError, match="belongs to the cluster"):
        begin_cluster(settings(data), "127.0.0.1", 1, "one")


def test_a_machine_that_joins_again_needs_no_head_and_keeps_its_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = token_of(tmp_path / "head")
    there = joined(tmp_path / "two", token)
    certificate = (there.path / "machine.pem").read_bytes()

    again = join(settings(tmp_path / "two"), HEAD, token, "two", "")
    assert again.address == "10.0.0.2"
    assert (there.path / "machine.pem").read_bytes() == certificate

    monkeypatch.setattr(membership, "_reach", lambda _: "10.0.0.3")
    moved = join(settings(tmp_path / "two"), HEAD, token, "two", "")
    assert moved.address == "10.0.0.3"
    assert (there.path / "machine.pem").read_bytes() != certificate


def test_another_clusters_token_does_not_replace_the_right_one(tmp_path: Path) -> None:
    there = joined(tmp_path / "two", token_of(tmp_path / "head"))
    other = token_of(tmp_path / "other")
    before = there.token.read_bytes()

    with pytest.raises(LlamactlError, match="another token"):
        join(settings(tmp_path / "two"), HEAD, other, "two", "")
    assert there.token.read_bytes() == before

    leave(settings(tmp_path / "two"))
    assert ClusterFolder(tmp_path / "two").place is None
    assert not there.path.exists()


def test_a_certificate_of_another_cluster_is_replaced(tmp_path: Path) -> None:
    there = joined(tmp_path / "two", token_of(tmp_path / "head"))
    ours = (there.path / "authority.pem").read_bytes()
    joined(tmp_path / "two", token_of(tmp_path / "other"))

    assert (there.path / "authority.pem").read_bytes() != ours
    assert Files(there.path).client().verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("head", "name", "says"),
    [("host.example:6379", "two", "not an IP address"), (HEAD, "local", "can't be called"),
     (HEAD, "a b", "node name"), (HEAD, "two", "no cluster answers")],
)  # fmt: skip
def test_what_can_not_be_joined_is_said_and_nothing_is_left(
    tmp_path: Path, head: str, name: str, says: str
) -> None:
    token = token_of(tmp_path / "head")

    with pytest.raises(LlamactlError, match=says):
        join(settings(tmp_path / "two"), head, token, name, "")
    assert ClusterFolder(tmp_path / "two").place is None


@pytest.mark.parametrize("text", ["", "just a line", "a\n-----BEGIN CERTIFICATE-----\nx\n"])
def test_what_is_no_token_is_said(tmp_path: Path, text: str) -> None:
    joined(tmp_path / "two", token_of(tmp_path / "head"))
    (tmp_path / "token").write_text(text)

    with pytest.raises(LlamactlError, match="token"):
        join(settings(tmp_path / "two"), HEAD, tmp_path / "token", "two", "")


def test_a_servers_data_is_not_taken_for_a_nodes(tmp_path: Path) -> None:
    token = token_of(tmp_path / "head")
    (tmp_path / "two").mkdir()
    (tmp_path / "two/llamactl.db").touch()

    with pytest.raises(LlamactlError, match="that of a server"):
        join(settings(tmp_path / "two"), HEAD, token, "two", "")


@pytest.mark.parametrize("port", [0, 70_000])
def test_a_port_that_there_is_not_is_said(tmp_path: Path, port: int) -> None:
    with pytest.raises(LlamactlError, match="from 1 to 65535"):
        begin_cluster(settings(tmp_path / "head"), "127.0.0.1", port, "one")


@pytest.mark.parametrize("text", ["{", "[]", '{"node": "two"}'])
def test_a_damaged_file_is_said(tmp_path: Path, text: str) -> None:
    there = joined(tmp_path / "two", token_of(tmp_path / "head"))
    (there.path / "place.json").write_text(text)

    with pytest.raises(InvalidConfig, match=r"place\.json"):
        there.place  # noqa: B018
