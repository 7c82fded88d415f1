"""Fixtures that every suite may use."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import settings

from support import containers
from support.containers import ContainerEngine, Daemon
from support.engines import BOTH, BUILT_IN, Engine, use
from support.served import Served, running, serve
from support.shared import Servers
from support.stages import APART, STAGES, in_order, may_hold, stage_of

SCALE = int(os.environ.get("LLAMACTL_TEST_SCALE", "1"))
QUICK = SCALE == 1 and "LLAMACTL_CI" not in os.environ
EXAMPLES = 50 if QUICK else 100 * SCALE  # what is generated for each property
settings.register_profile("llamactl", max_examples=EXAMPLES, deadline=None)
settings.load_profile("llamactl")


@pytest.fixture(scope="session")
def scale() -> int:
    """1 by default; `make soak` raises it."""
    return SCALE


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--stage", choices=(*STAGES, *APART), help="run the tests of this stage alone")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    wanted = config.getoption("--stage")
    if wanted is None or collection_path.parent != Path(__file__).parent:
        return None
    return True if not may_hold(collection_path.name, wanted) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    stages = [(item, stage_of(item)) for item in items]
    if (wanted := config.getoption("--stage")) is not None:
        config.hook.pytest_deselected(items=[item for item, stage in stages if stage != wanted])
        items[:] = in_order([item for item, stage in stages if stage == wanted])


def pytest_collection_finish() -> None:
    """What is there now stays: the garbage collector need not look at it again and again."""
    gc.collect()
    gc.freeze()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker("both_engines"):
        metafunc.parametrize("engine", BOTH, indirect=True, scope="module")


@pytest.fixture(scope="module", autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Of the servers that the module's tests start; with the mark `both_engines`, one by one."""
    with use(getattr(request, "param", BUILT_IN)) as engine:
        yield engine
        assert not running(), "a fixture that serves must depend on this one"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from support.gguf_file import write_tiny_gguf  # and numpy, which few tests need

    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    write_tiny_gguf(path)
    return path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Served]:
    """A real `llamactl serve` with default settings, for a module's tests."""
    with serve(tmp_path_factory.mktemp("data")) as server:
        yield server


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Servers]:
    """Real servers that the module's tests share."""
    with ExitStack() as stack:
        yield Servers(stack, tmp_path_factory)


@pytest.fixture(scope="session")
def docker_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A Docker of our own, with the image of llama-server."""
    with containers.docker_daemon(tmp_path_factory.mktemp("docker")) as daemon:
        containers.load_llama(daemon.engine, tmp_path_factory.mktemp("image"))
        yield daemon


@pytest.fixture(scope="session")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainerEngine]:
    """A Podman of our own, with the same image."""
    with containers.podman_root(tmp_path_factory.mktemp("podman")) as engine:
        containers.load_llama(engine, tmp_path_factory.mktemp("image"))
        yield engine


@pytest.fixture(scope="module", params=["docker", "podman"])
def container_engine(request: pytest.FixtureRequest) -> ContainerEngine:
    """Each of both, one by one."""
    if request.param == "docker":
        daemon: Daemon = request.getfixturevalue("docker_daemon")
        return daemon.engine
    engine: ContainerEngine = request.getfixturevalue("podman")
    return engine
