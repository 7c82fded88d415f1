"""Containers: what a definition says of one, the words that create it, what its client says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import orjson
import pytest

from llamactl.backends import read_definition
from llamactl.backends.containers import check_container, container_of
from llamactl.backends.contract import Start
from llamactl.backends.llama_cpp import LLAMA_CPP
from llamactl.backends.llama_cpp.settings import LlamaCppSettings
from llamactl.backends.settings import DockerSettings
from llamactl.backends.spec_hash import spec_hash
from llamactl.cli.options import options_of
from llamactl.config import Settings
from llamactl.core.errors import CallerError, InvalidOption, InvalidRequest
from llamactl.core.exits import FailureClass
from llamactl.core.instance import Container, InstanceOptions, Mount
from llamactl.node.container.arguments import Create
from llamactl.node.container.client import Client
from llamactl.node.container.containers import Containers
from llamactl.node.container.failures import ContainerError, EngineDown, NoSuchContainer, failure_of
from llamactl.policy.definition.reading import merge

T = TypeVar("T")
IMAGE = {"container": {"image": "engine:1"}}


def options(body: object, now: InstanceOptions | None = None) -> InstanceOptions:
    return merge(now or InstanceOptions(), read_definition(body))


# Definitions.


def test_a_container_is_read_with_its_lists_as_lists_or_texts() -> None:
    given = {
        "image": "e",
        "args": "--shm-size '1 g'",
        "mounts": "/a:/b",
        "gpus": 2,
        "env": {"A": "b"},
    }
    container = options({"container": given}).container

    assert container == Container(
        "e", args=("--shm-size", "1 g"), mounts=("/a:/b",), gpus="2", env={"A": "b"}
    )


@pytest.mark.parametrize(
    ("container", "says"),
    [("engine:1", "object"), ({"imag": "x"}, "'imag'; its fields are"),
     ({"image": "-v"}, "begin with"),
     ({"image": "a b"}, "spaces"), ({"engine": "lxc"}, "auto, docker, podman"),
     ({"pull": "often"}, "never, missing, always"), ({"mounts": ["a:/b"]}, "begin with a slash"),
     ({"mounts": ["/a:/b:rx"]}, "neither ro nor rw"), ({"mounts": ["/a:/b:/c:rw"]}, "one colon"),
     ({"gpus": "two"}, "a number"), ({"gpus": True}, "a number"),
     ({"gpus": "all --rm"}, "a number"),
     ({"args": ["--rm"]}, "llamactl sets it"), ({"args": ["--name=x"]}, "llamactl sets it"),
     ({"args": ["--network", "x"]}, "host's network"), ({"args": ["-p", "1:1"]}, "host's network"),
     ({"args": ["--gpus=all"]}, "container.gpus"), ({"args": "it's"}, "command line"),
     ({"env": {"a=b": "c"}}, "variable name"), ({"env": {"a": 1}}, "string")],
)  # fmt: skip
def test_what_can_not_be_a_container_is_refused_by_its_field(container: object, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        options({"container": container})


@pytest.mark.parametrize(
    ("body", "field"),
    [({"container": "engine:1"}, "container"), ({"container": {"imag": "x"}}, "container"),
     ({"container": {"image": "a b"}}, "container.image"),
     ({"container": {"engine": "lxc"}}, "container.engine"),
     ({"container": {"pull": "often"}}, "container.pull"),
     ({"container": {"mounts": ["a:/b"]}}, "container.mounts"),
     ({"container": {"mounts": 1}}, "container.mounts"),
     ({"container": {"gpus": "two"}}, "container.gpus"),
     ({"container": {"args": "it's"}}, "container.args"),
     ({"container": {"args": ["--rm"]}}, "container.args"),
     ({"container": {"env": {"a=b": "c"}}}, "container.env"),
     ({"container": {"env": {"a": "\0"}}}, "container.env"),
     ({"environment": {"a=b": "c"}}, "environment"), ({"aliases": ["a b"]}, "aliases"),
     ({"priority": 1000}, "priority"), ({"variants": {"v": {"x": 1}}}, "variants")],
)  # fmt: skip
def test_a_refusal_says_which_field_is_wrong(body: dict[str, object], field: str) -> None:
    with pytest.raises(CallerError) as refused:
        options(body)

    assert refused.value.details["fields"] == [field]


def test_an_update_changes_single_fields_of_a_container() -> None:
    now = options({"container": {"image": "e", "pull": "always", "env": {"KEY": "secret"}}})
    after = options(
        {"container": {"pull": "never", "env": {"KEY": "********"}, "gpus": "all"}}, now
    )
    removed = options({"container": {"env": None}}, now)

    assert after.container == Container("e", gpus="all", env={"KEY": "secret"})
    assert removed.container == Container("e", pull="always")
    assert options({"container": None}, now).container is None


def test_a_command_line_gives_its_fields() -> None:
    said = options_of(
        ["container.image=e:1", "container.gpus=all", "container.mounts=/a", "seed=1.5"]
    )

    assert said == {"container": {"image": "e:1", "gpus": "all", "mounts": "/a"}, "seed": 1.5}


def test_a_stored_definition_is_read_again_and_an_old_one_has_none() -> None:
    full = options({"container": {"image": "e", "mounts": ["/a"], "env": {"A": "b"}}})

    assert InstanceOptions(**orjson.loads(orjson.dumps(full))) == full
    assert InstanceOptions(**json.loads(json.dumps(asdict(full)))) == full
    old: dict[str, Any] = {"backend_type": "llama_cpp"}
    assert InstanceOptions(**old).container is None


# The settings.

DOCKED = LlamaCppSettings(
    docker=DockerSettings(
        enabled=True,
        image="theirs",
        environment={"A": "1", "B": "1"},
        args=("run", "--rm", "--network", "host", "--gpus", "all", "-v", "/c:/d"),
    )
)


def test_the_settings_say_who_runs_in_a_container() -> None:
    off = LlamaCppSettings(docker=DockerSettings(image="theirs"))
    of_all = Container("theirs", args=("-v", "/c:/d"), gpus="all", env={"A": "1", "B": "1"})

    assert container_of(DOCKED.engine, options({})) == of_all
    assert container_of(DOCKED.engine, options({"docker_enabled": False})) is None
    assert container_of(off.engine, options({})) is None
    assert container_of(off.engine, options({"docker_enabled": True})) == Container("theirs")
    assert container_of(LlamaCppSettings().engine, options(IMAGE)) == Container("engine:1")
    own = options({"container": {"env": {"A": "2"}}})
    assert container_of(DOCKED.engine, own) == Container(
        "theirs", args=("-v", "/c:/d"), gpus="all", env={"A": "2", "B": "1"}
    )
    theirs = container_of(DOCKED.engine, options(IMAGE))
    assert theirs == Container("engine:1")  # what the settings say is for their image


@pytest.mark.parametrize(
    ("body", "says"),
    [({"docker_enabled": True}, "no image is given; set container.image"),
     ({"container": {}}, "no image is given"),
     ({**IMAGE, "die_with_parent": True}, "die_with_parent")],
)  # fmt: skip
def test_what_can_not_run_in_a_container_says_why(body: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidOption, match=says) as refused:
        check_container(LlamaCppSettings().engine, options(body))
    image = {"missing": "container.image", "fields": ["container.image"]}
    assert refused.value.details == (image if "no image" in says else {})


def test_settings_that_enable_it_name_an_image() -> None:
    with pytest.raises(ValueError, match=r"set docker\.image"):
        Settings.model_validate({"backends": {"llama-cpp": {"docker": {"enabled": True}}}})


def test_only_a_change_of_its_container_needs_another_one() -> None:
    plain, settings = options({"model": "/m"}), LlamaCppSettings().engine
    boxed = options({"model": "/m", **IMAGE})

    # as before there were containers: an update of llamactl restarts nothing
    assert spec_hash(settings, plain)[:14] == "1:49441b93e9d6"
    assert spec_hash(settings, boxed) != spec_hash(settings, plain)
    assert spec_hash(DOCKED.engine, plain) != spec_hash(settings, plain)
    assert spec_hash(DOCKED.engine, options({"model": "/m", "docker_enabled": False})) == spec_hash(
        settings, plain
    )


# The words.


def create(kind: str, container: Container, **more: Any) -> list[str]:
    given = {"mounts": (), "environment": {}, "program": "", "words": ("--port", "1"), **more}
    return Create("llamactl-one-1", {"llamactl.node": "x"}, container, **given).argv(kind)


def test_no_value_of_a_variable_is_among_the_words() -> None:
    words = create("docker", Container("e"), environment={"LLAMA_API_KEY": "secret"})

    assert "secret" not in " ".join(words)
    assert words[words.index("LLAMA_API_KEY") - 1] == "-e"
    assert words[-3:] == ["e", "--port", "1"]


def test_the_key_of_an_engine_is_not_among_them() -> None:
    given = options({"model": "/m", **IMAGE})
    start = Start.of(given, LlamaCppSettings().engine, port=1, key="secret")
    launch = LLAMA_CPP.launch(start)

    assert "secret" not in " ".join(launch.words) and "secret" in launch.environment.values()


def test_mounts_are_read_only_and_any_path_can_be_one() -> None:
    mounts = (Mount("/m/a,b.gguf", '/m/a"b'), Mount("/c", "/d", writable=True))
    words = create("podman", Container("e"), mounts=mounts)
    found = [words[n + 1] for n, word in enumerate(words) if word == "--mount"]

    assert found == [
        'type=bind,"src=/m/a,b.gguf","dst=/m/a""b",readonly', "type=bind,src=/c,dst=/d"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("gpus", "docker", "podman"),
    [("all", ["--gpus", "all"], ["nvidia.com/gpu=all"]),
     ("2", ["--gpus", "2"], ["nvidia.com/gpu=0", "nvidia.com/gpu=1"]),
     ("device=1,3", ["--gpus", '"device=1,3"'], ["nvidia.com/gpu=1", "nvidia.com/gpu=3"])],
)  # fmt: skip
def test_gpus_are_asked_for_as_each_wants_it(
    gpus: str, docker: list[str], podman: list[str]
) -> None:
    of_docker = create("docker", Container("e", gpus=gpus))
    of_podman = create("podman", Container("e", gpus=gpus))

    assert of_docker[of_docker.index("--gpus") :][:2] == docker
    assert [w for n, w in enumerate(of_podman) if of_podman[n - 1] == "--device"] == podman


# The client.


@pytest.mark.parametrize(
    ("engine", "docker", "podman", "chosen"),
    [("auto", "exit 0", "exit 0", "docker"), ("auto", "exit 1", "exit 0", "podman"),
     ("auto", "", "exit 0", "podman"), ("podman", "exit 0", "exit 0", "podman"),
     ("docker", "exit 1", "exit 0", "does not answer"), ("docker", "", "exit 0", "not installed"),
     ("auto", "", "", "are not installed")],
)  # fmt: skip
def test_auto_is_docker_if_it_answers_else_podman(
    tmp_path: Path, engine: str, docker: str, podman: str, chosen: str
) -> None:
    for kind, line in (("docker", docker), ("podman", podman)):
        if line:
            why = "echo 'Cannot connect to the Docker daemon' >&2"
            (tmp_path / kind).write_text(f"#!/bin/sh\n{why}\n{line}\n")
            (tmp_path / kind).chmod(0o755)
    containers = Containers("local", tmp_path, {"PATH": str(tmp_path)})
    try:
        found = run(containers.client(Container("e", engine=engine))).kind
    except EngineDown as exc:
        found = exc.cause.advice

    assert chosen in found


AWAY = "echo 'Cannot connect to the Docker daemon' >&2; exit 1"
NO_IMAGES = 'test "$1" = version'
NOT_HERE = "pull it, or set container.pull to missing"


@pytest.mark.parametrize(
    ("client", "container", "says"),
    [("", Container("e"), "docker and podman are not installed"),
     ("", Container("e", engine="podman"), "podman is not installed"),
     (AWAY, Container("e"), "does not answer"), (NO_IMAGES, Container("e"), NOT_HERE),
     (NO_IMAGES, Container("e", pull="missing"), ""),
     ("exit 0", Container("e"), "")],
)  # fmt: skip
def test_why_a_start_would_fail_is_known_before(
    tmp_path: Path, client: str, container: Container, says: str
) -> None:
    if client:
        (tmp_path / "docker").write_text(f"#!/bin/sh\n{client}\n")
        (tmp_path / "docker").chmod(0o755)
    containers = Containers("local", tmp_path, {"PATH": str(tmp_path)})

    found = run(containers.obstacle(container))

    assert says in found if says else found == ""


SAID = {
    "No such image: nope:1": FailureClass.IMAGE_MISSING,
    "Error: nope:1: image not known": FailureClass.IMAGE_MISSING,
    'could not select device driver "" with capabilities: [[gpu]]': FailureClass.GPU,
    "setting up CDI devices: unresolvable CDI devices nvidia.com/gpu=all": FailureClass.GPU,
    "unknown flag: --nosuch": FailureClass.BAD_OPTION,
    "invalid mount config: bind source path does not exist: /x": FailureClass.BAD_OPTION,
    "Error: statfs /missing: no such file or directory": FailureClass.BAD_OPTION,
    'runc: exec: "/x": stat /x: no such file or directory': FailureClass.COMMAND_MISSING,
    "write /x: no space left on device": FailureClass.EXHAUSTED,
    'The container name "/a" is already in use by container "b"': FailureClass.UNKNOWN,
}


@pytest.mark.parametrize("said", SAID)
def test_what_a_client_says_has_its_class(said: str) -> None:
    assert failure_of("docker", "create", said).cause.failure is SAID[said]


@pytest.mark.parametrize(
    "said",
    ["Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?",
     "permission denied while trying to connect to the Docker daemon socket",
     "error during connect: this error may indicate that the docker daemon is not running"],
)  # fmt: skip
def test_a_daemon_that_is_away_is_told_from_a_container_that_is_gone(said: str) -> None:
    assert isinstance(failure_of("docker", "inspect", said), EngineDown)
    gone = failure_of("podman", "inspect", 'no container with name or ID "x" found')
    assert isinstance(gone, NoSuchContainer)


def test_a_pull_that_fails_is_an_image_that_is_missing_whatever_it_says() -> None:
    error = failure_of("docker", "pull", "dial tcp 127.0.0.1:9: connect: connection refused")

    assert error.cause.failure is FailureClass.IMAGE_MISSING and not isinstance(error, EngineDown)


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def client(tmp_path: Path, script: str) -> Client:
    program = tmp_path / "docker"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    found = Client.find("docker", {"PATH": f"{tmp_path}:/bin:/usr/bin", "MY_SECRET": "x"})
    assert found is not None
    return found


def test_a_client_that_hangs_is_killed_at_its_deadline(tmp_path: Path) -> None:
    slow = client(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 100")
    with pytest.raises(EngineDown, match=r"took more than 0\.5 s"):
        run(slow.run("inspect", "x", within=0.5))

    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_what_a_client_leaves_running_keeps_nobody_waiting(tmp_path: Path) -> None:
    leaving = client(tmp_path, "sleep 5 & echo started")

    assert run(leaving.run("start", "x", within=3.0)) == "started"


def test_an_answer_that_is_none_is_an_error_of_the_client(tmp_path: Path) -> None:
    with pytest.raises(ContainerError, match="can't be understood"):
        run(client(tmp_path, "echo hello").inspect("x"))


def test_a_client_gets_no_more_of_our_environment_than_it_needs(tmp_path: Path) -> None:
    said = run(client(tmp_path, "env").run("version"))

    assert "MY_SECRET" not in said and "PATH=" in said
