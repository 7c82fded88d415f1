"""Labels and GPUs of machines on the page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from support.fake_engine import create_fake
from support.fake_nvml import with_nvml
from support.served import Served, data_folder, serve
from support.window import Windows


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("nodes")
    data = data_folder(folder, "local_node_labels: {gpu: h200, room: 2}")
    with serve(data, with_nvml(folder)) as served:
        create_fake(served, folder, "one", start=False)
        yield served


def test_a_gpu_is_taken_out_of_service_and_put_back(server: Served, windows: Windows) -> None:
    page = windows(server, path="#/system")
    machines = page.get_by_role("region", name="Machines")
    expect(machines).to_contain_text("gpu=h200, room=2")
    machines.get_by_role("button", name="Take gpu1 out of service").click()
    page.get_by_role("dialog").get_by_role("button", name="Take out of service").click()
    expect(machines).to_contain_text("gpu1 8.0 GiB, out of service")
    [node] = server.request("GET", "/api/v1/nodes").json()
    assert node["out_of_service"] == ["gpu1"]

    machines.get_by_role("button", name="Put gpu1 back into service").click()
    expect(machines).not_to_contain_text("out of service")


def test_labels_are_edited_in_the_form(server: Served, windows: Windows) -> None:
    page = windows(server, path="#/instances/one/edit")
    labels = page.get_by_role("combobox", name="Node labels")
    labels.fill("gpu=a100")
    labels.press("Enter")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Edit one")).to_be_hidden()

    shown = server.request("GET", "/api/v1/instances/one").json()
    assert shown["options"]["node_labels"] == {"gpu": "a100"}
