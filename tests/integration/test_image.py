"""The image of `packaging/Containerfile`, built and run by a real Podman."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import yaml
from server import model_path

from support.containers import ContainerEngine, podman_root
from support.image import IMAGE, ROOT, build
from support.instance_ports import instance_ports
from support.kills import free_port
from support.served import BASE, until_gone
from support.waits import until

NAME, VOLUME = "llamactl", "data"
CONTAINERFILE = (ROOT / "packaging/Containerfile").read_text()
pytestmark = pytest.mark.timeout(1800)  # the first test waits for the image


@pytest.fixture(scope="module")
def engine_with_image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainerEngine]:
    folder = tmp_path_factory.mktemp("podman")
    with podman_root(folder) as engine:
        build(engine, folder / "build")
        try:
            yield engine
        finally:
            engine.run("rm", "-a", "-f")
            engine.run("volume", "rm", "-a", "-f")
            engine.run("rmi", "-a", "-f")


@dataclass
class Contained:
    """A llamactl in a container, on the network of this machine."""

    engine: ContainerEngine
    port: int = 0
    key: str = ""

    def run(self) -> None:
        """Make the container; return when it is healthy."""
        self.port = free_port()
        settings = {
            "LLAMACTL_HOST": "127.0.0.1", "LLAMACTL_PORT": str(self.port), **instance_ports(),
        }  # fmt: skip
        self.engine.run(
            "run", "--detach", "--name", NAME, "--pull", "never", "--network", "host",
            "--volume", f"{VOLUME}:/data", "--volume", f"{model_path().parent}:/models:ro",
            *(f"--env={name}={value}" for name, value in settings.items()), IMAGE,
            within=300,  # its storage copies the image
        )  # fmt: skip
        self.until_healthy()
        self.key = self.inside("cat", "/data/management_key")

    def until_healthy(self) -> None:
        def look() -> str:
            # what systemd's timers would do
            self.engine.run("healthcheck", "run", NAME, check=False)
            said = self.engine.run("inspect", "--format", "{{json .State}}", NAME)
            assert '"Running":true' in said, self.engine.run("logs", NAME)
            return said

        until("a healthy container", look, lambda said: '"Status":"healthy"' in said)

    def inside(self, *words: str) -> str:
        return self.engine.run("exec", NAME, *words)

    def request(self, method: str, path: str, body: object = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.key}"}
        url = f"http://127.0.0.1:{self.port}{path}"
        return httpx.request(method, url, json=body, headers=headers, timeout=180)

    def until_ready(self, name: str) -> Any:
        return until(
            f"{name} ready",
            lambda: self.request("GET", f"{BASE}/{name}").json(),
            lambda row: row.get("state") == "ready",
        )

    def chat(self, name: str) -> str:
        messages = [{"role": "user", "content": "Say hello"}]
        body = {"model": name, "messages": messages, "max_tokens": 8}
        answer = self.request("POST", "/v1/chat/completions", body)
        assert answer.status_code == 200, answer.text
        said: str = answer.json()["choices"][0]["message"]["content"]
        return said


@pytest.fixture
def contained(engine_with_image: ContainerEngine) -> Iterator[Contained]:
    """With an instance of the small model."""
    made = Contained(engine_with_image)
    made.run()
    options = {"model": f"/models/{model_path().name}", "ctx_size": 512, "threads": 1}
    answer = made.request("POST", f"{BASE}/smollm2", {"backend_options": options})
    assert answer.status_code == 201, answer.text
    yield made
    made.engine.run("rm", "-f", NAME)
    made.engine.run("volume", "rm", VOLUME)


def test_a_model_answers_and_all_is_still_there_in_a_new_container(contained: Contained) -> None:
    key, first = contained.key, contained.chat("smollm2")
    user, listed = contained.inside("id", "-u"), contained.inside("llamactl", "ps")
    contained.engine.run("stop", "--time", "50", NAME)
    ended = contained.engine.run("inspect", "--format", "{{.State.ExitCode}}", NAME)
    contained.engine.run("rm", NAME)
    contained.run()

    assert first and "smollm2" in listed
    assert int(user) > 0
    assert ended == "0"
    assert contained.key == key
    contained.until_ready("smollm2")  # it was running, so it is started again
    assert contained.chat("smollm2")


def test_engines_end_with_a_killed_container_and_start_again_with_it(contained: Contained) -> None:
    contained.until_ready("smollm2")
    _, *inside = contained.engine.run("top", NAME, "hpid").split()
    contained.engine.run("kill", NAME)
    for pid in inside:
        until_gone(pid)
    contained.engine.run("start", NAME)
    contained.until_healthy()

    assert len(inside) > 1
    contained.until_ready("smollm2")
    assert contained.chat("smollm2")


def test_compose_publishes_on_loopback_and_keeps_what_the_image_keeps() -> None:
    file = ROOT / "packaging/compose.yaml"
    given = yaml.safe_load(file.read_text())
    service = given["services"]["llamactl"]
    (kept,) = re.findall(r"^VOLUME \[(.*)\]$", CONTAINERFILE, re.MULTILINE)
    (exposed,) = re.findall(r"^EXPOSE (\d+)$", CONTAINERFILE, re.MULTILINE)
    mounted = dict(volume.split(":") for volume in service["volumes"])
    built = (file.parent / service["build"]["context"] / service["build"]["dockerfile"]).resolve()

    assert service["ports"] == [f"127.0.0.1:{exposed}:{exposed}"]
    assert [*mounted.values()] == [name.strip(' "') for name in kept.split(",")]
    assert mounted.keys() == given["volumes"].keys()
    assert built == ROOT / "packaging/Containerfile"
