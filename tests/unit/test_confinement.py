"""No field by which a program or a path can be given is forgotten: what `allow_commands` and
`model_roots` bind is walked through, option by option of both engines.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from dataclasses import fields as fields_of
from pathlib import Path

import pytest
import xllamacpp as xl

from llamactl.config import Settings
from llamactl.core.errors import ForbiddenBySettings
from llamactl.core.instance import Container, InstanceOptions, OptionValue
from llamactl.engine.flags import FLAGS, SPECIAL, fields
from llamactl.models import Confinement
from llamactl.policy.definition.confinement import TEXTS, fetched, files, programs
from llamactl.policy.definition.engine_help import EngineOption, read_help
from support.engines import LLAMA_SERVER, use

OUTSIDE = "/etc/passwd"
# llamactl gives them itself, and refuses them from anybody else
OURS = {"host", "port", "api_key", "api_key_file", "ssl_key_file", "ssl_cert_file"}
OURS |= {"hostnames", "api_keys", "ssl_file_key", "ssl_file_cert"}


def confined(
    folder: Path | None = None, *, commands: bool = True,
    resolved: Mapping[str, str] | None = None, **more: object,
) -> Confinement:  # fmt: skip
    roots = (str(folder),) if folder else ()
    settings = Settings.model_validate({"allow_commands": commands, "model_roots": roots, **more})
    return Confinement(lambda: settings, lambda given: {**given, **(resolved or {})})


def refused(by: Confinement, **given: OptionValue) -> list[str]:
    return [one.field for one in by.problems(InstanceOptions(backend_options=given))]


def refused_variable(by: Confinement, name: str, value: str = "1") -> bool:
    return bool(by.problems(InstanceOptions(environment={name: value})))


@pytest.fixture(scope="module")
def real() -> list[EngineOption]:
    """The options of llama.cpp's own llama-server, by its help."""
    with use(LLAMA_SERVER) as engine:
        return [option for option in read_help(engine.help()) if option.name not in OURS]


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


def test_every_path_of_the_real_engines_help_is_bound(
    real: list[EngineOption], roots: Path
) -> None:
    by = confined(roots)
    paths = [o for o in real if o.kind == "path" or re.search(r"^path to|\bFNAME\b", o.help)]
    assert len(paths) > 20

    for option in paths:
        for value in (OUTSIDE, "passwd", f"{roots}/../passwd", "~/passwd", f"file://{OUTSIDE}"):
            assert refused(by, **{option.name: value}), (option.name, value)
            for flag in option.flags:
                assert refused(by, extra_args=[flag, value]), (flag, value)
                assert refused(by, extra_args=["--metrics", f"{flag}={value}"]), (flag, value)
                assert refused(by, **{flag.lstrip("-"): value}), (flag, value)


def test_what_could_be_a_path_is_bound_unless_it_is_known_to_be_text(
    real: list[EngineOption], roots: Path
) -> None:
    """So that an option of tomorrow's engine is bound, too."""
    by = confined(roots)
    names = {option.name: option.flags for option in real} | {"new_thing": ("--new-thing",)}
    own = {path.rpartition(".")[2]: path for path, _ in fields(xl.CommonParams())}
    spelt = {name.replace("-", "_") for name in (*own, *FLAGS, *SPECIAL)} - OURS
    names |= {name: (f"--{name.replace('_', '-')}",) for name in spelt if len(name) > 3}

    for name, flags in names.items():
        known = TEXTS & {name, *(flag.lstrip("-").replace("-", "_") for flag in flags)}
        known |= {"hf_repo"} & {name}  # llamactl looks it up itself
        assert known or refused(by, **{name: OUTSIDE}), name
        assert known or all(refused(by, extra_args=[flag, OUTSIDE]) for flag in flags), name
    paths = {o.name for o in real if o.kind == "path"}
    assert not paths & TEXTS


def test_the_variables_of_the_help_are_bound_as_their_options(
    real: list[EngineOption], roots: Path
) -> None:
    by, seen = confined(roots), 0
    for option in real:
        variable = re.search(r"\(env: (LLAMA_ARG_\w+)\)", option.help)
        if variable and option.kind == "path":
            seen += 1
            assert refused_variable(by, variable[1], OUTSIDE), variable[1]
            assert refused_variable(by, variable[1], "passwd"), variable[1]
    assert seen > 8


def test_a_model_that_the_engine_fetches_itself_is_refused(
    real: list[EngineOption], roots: Path
) -> None:
    by, seen = confined(roots), 0
    for option in real:
        says = re.search(r"download|hub model repository|repository;|URL to", option.help, re.I)
        same = re.search(r"Same as --hf-repo", option.help)
        if (says or same) and option.name not in ("offline", "mmproj_auto"):
            seen += 1
            value: OptionValue = True if option.kind == "switch" else "org/model"
            words = [option.flags[-1], *([] if value is True else ["org/model"])]
            assert refused(by, extra_args=words), option.name
    assert seen > 10


def test_whatever_runs_a_program_is_off_with_the_commands(real: list[EngineOption]) -> None:
    by, seen = confined(commands=False), 0
    for option in real:
        if re.search(r"untrusted environments|runtime environment", option.help):
            seen += 1
            value: OptionValue = True if option.kind == "switch" else "all"
            words = [option.flags[-1] if value is not True else option.flags[0]]
            assert refused(by, **{option.name: value}), option.name
            assert refused(by, extra_args=[*words, *([] if value is True else ["all"])])
            assert not refused(by, **{option.name: False})
            variable = re.search(r"\(env: (LLAMA_ARG_\w+)\)", option.help)
            assert variable and refused_variable(by, variable[1])
    assert seen >= 6
    assert refused(by, **{"server_tools": "all", "video_ffmpeg_bin_dir": "/x"})  # the built-in's


def test_nothing_else_of_the_help_is_refused(real: list[EngineOption], roots: Path) -> None:
    by = confined(roots, commands=False)
    for option in real:
        if option.kind in ("switch", "integer", "number", "choice"):
            values: dict[str, OptionValue] = {"switch": True, "choice": "auto"}
            value = values.get(option.kind, 7)
            is_bound = re.search(r"untrusted|download|runtime environment", option.help)
            said = refused(by, **{option.name: value})
            assert bool(said) <= bool(is_bound and option.name != "offline"), option.name
            word = [] if option.kind == "switch" else [str(value)]
            words = refused(by, extra_args=[option.flags[0], *word])
            assert bool(words) <= bool(is_bound), option.name


def test_every_field_of_an_instance_is_bound_or_is_no_path(roots: Path) -> None:
    """A new field has to be put into one of these."""
    bound = {"command_override", "environment", "backend_options", "container", "docker_enabled",
             "preset_ini"}  # fmt: skip
    never = {
        "backend_type", "auto_restart", "max_restarts", "restart_delay", "on_demand_start",
        "idle_timeout", "group", "pinned", "priority", "die_with_parent", "keep_context", "aliases",
        "idle_action",
        "preload", "warm_up", "default_params", "set_params", "strip_params", "variants",
        "nodes", "node_labels", "replicas",
    }  # fmt: skip

    assert {field.name for field in fields_of(InstanceOptions)} == bound | never
    by = confined(roots, commands=False)
    assert by.problems(InstanceOptions(command_override="/bin/sh"))
    assert by.problems(InstanceOptions(environment={"LD_PRELOAD": "x.so"}))
    assert by.problems(InstanceOptions(backend_options={"model": OUTSIDE}))


CONTAINER: dict[str, object] = {
    "image": "engine:1", "engine": "podman", "args": ("--privileged",), "mounts": (OUTSIDE,),
    "gpus": "all", "env": {"CACHE_DIR": OUTSIDE}, "pull": "always",
}  # fmt: skip
NAMING_FILES = {"args": (f"--volume={OUTSIDE}:/x", "-v", "/:/host"), "mounts": CONTAINER["mounts"],
                "env": CONTAINER["env"]}  # fmt: skip


@pytest.mark.parametrize("name", [field.name for field in fields_of(Container)])
def test_every_field_of_a_container_is_off_with_the_commands(name: str) -> None:
    options = InstanceOptions(container=Container(**{name: CONTAINER[name]}))  # type: ignore[arg-type]
    found = confined(commands=False).problems(options)

    assert [one.field for one in found] == [f"container.{name}"]
    assert confined().problems(options) == []


def test_an_empty_container_is_one_too() -> None:
    found = confined(commands=False).problems(InstanceOptions(container=Container()))

    assert [one.field for one in found] == ["container"]


@pytest.mark.parametrize("name", NAMING_FILES)
def test_files_that_a_container_gets_are_in_the_folders(name: str, roots: Path) -> None:
    outside = Container(image="engine", **{name: NAMING_FILES[name]})  # type: ignore[arg-type]
    found = confined(roots).problems(InstanceOptions(container=outside))

    assert found and all(one.field.startswith(f"container.{name}") for one in found)
    inside = Container(image="engine", mounts=(f"{roots}/a:/x:rw",), args=("--shm-size", "1g"))
    assert confined(roots).problems(InstanceOptions(container=inside)) == []


def test_nobody_leaves_the_container_of_the_settings_where_commands_are_off() -> None:
    docker = {"docker": {"enabled": True, "image": "engine"}}
    by = confined(commands=False, backends={"llama-cpp": docker})
    out, within = InstanceOptions(docker_enabled=False), InstanceOptions(docker_enabled=True)

    assert [one.field for one in by.problems(out)] == ["docker_enabled"]
    assert by.problems(within) == []
    assert confined(commands=False).problems(out) == []


@pytest.mark.parametrize(
    "name",
    [
        "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "DYLD_INSERT_LIBRARIES", "PATH",
        "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PERL5OPT", "RUBYOPT", "NODE_OPTIONS",
        "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "BASH_ENV", "ENV", "IFS", "PS4", "SHELLOPTS",
        "GCONV_PATH", "GGML_BACKEND_PATH", "GGML_BACKEND_DIR", "CUDA_INJECTION64_PATH",
        "VK_ICD_FILENAMES",
        "VK_INSTANCE_LAYERS", "OCL_ICD_VENDORS", "OMP_TOOL_LIBRARIES", "HSA_TOOLS_LIB",
        "OPENSSL_CONF", "HOME", "XDG_DATA_DIRS", "VLLM_PLUGINS", "GIT_SSH_COMMAND", "EDITOR",
        "TRITON_PTXAS_PATH", "ld_preload", "LLAMA_ARG_TOOLS", "LLAMA_ARG_MCP_SERVERS_JSON",
    ],
)  # fmt: skip
def test_a_variable_that_loads_code_is_off_with_the_commands(name: str) -> None:
    assert refused_variable(confined(commands=False), name)
    assert not refused_variable(confined(), name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CUDA_VISIBLE_DEVICES", "0"), ("OMP_NUM_THREADS", "4"), ("GGML_CUDA_FORCE_MMQ", "1"),
        ("HF_TOKEN", "hf_x"), ("MY_PASSWORD", "/begins/with/a/slash"),
        ("https_proxy", "http://proxy:3128"), ("GREETING", "hello"),
        ("NVIDIA_DRIVER_CAPABILITIES", "compute"), ("LLAMA_ARG_CTX_SIZE", "512"),
        ("LLAMA_ARG_AGENT", "0"), ("TZ", "Europe/Berlin"), ("HSA_OVERRIDE_GFX_VERSION", "10.3.0"),
    ],
)  # fmt: skip
def test_a_harmless_variable_is_taken(roots: Path, name: str, value: str) -> None:
    assert not refused_variable(confined(roots, commands=False), name, value)


def test_a_path_is_followed_to_where_it_leads(roots: Path, tmp_path: Path) -> None:
    by = confined(roots)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "a.gguf").touch()
    (roots / "link.gguf").symlink_to(tmp_path / "secret" / "a.gguf")
    (roots / "folder").symlink_to(tmp_path / "secret")
    (roots / "own.gguf").symlink_to(roots / "there.gguf")
    (tmp_path / "models-of-others").mkdir()

    for path in (
        f"{roots}/a.gguf", f"{roots}/with: colon, comma.gguf", f"{roots}/x/../a.gguf",
        f"{roots}/own.gguf", os.path.relpath(roots / "a.gguf"), str(roots),
    ):  # fmt: skip
        assert not refused(by, model=path), path
    for path in (
        f"{roots}/link.gguf", f"{roots}/folder/a.gguf", f"{roots}/folder/new.gguf",
        f"{roots}/../secret/a.gguf", f"{tmp_path}/models-of-others/a.gguf",
        f"FILE://{roots}/a.gguf", "~/a.gguf", f"~{roots}/a.gguf", "a.gguf", "/", ".", "..",
    ):  # fmt: skip
        assert refused(by, model=path) == ["model"], path


def test_every_part_of_a_split_model_is_followed(roots: Path, tmp_path: Path) -> None:
    (roots / "m-00002-of-00002.gguf").symlink_to(tmp_path / "elsewhere.gguf")

    assert refused(confined(roots), model=f"{roots}/m-00001-of-00002.gguf")
    assert not refused(confined(roots), model=f"{roots}/m-00001-of-00003.gguf")


def test_every_item_of_a_list_is_followed(roots: Path) -> None:
    by, good = confined(roots), f"{roots}/a.gguf"

    assert not refused(by, lora=[good, good])
    assert not refused(by, lora_scaled=f"{good}:0.5,{good}:1")
    assert not refused(by, extra_args=["--lora", good, "--temp", "-1", "--model", good])
    assert refused(by, lora=[good, OUTSIDE]) == ["lora"]
    assert refused(by, lora=f"{good},{OUTSIDE}")
    assert refused(by, lora_scaled=f"{good}:0.5,{OUTSIDE}:1")
    assert refused(by, control_vector_scaled=[f"{OUTSIDE}:1"])
    assert refused(by, new_list=f"{good},{OUTSIDE}")
    assert refused(by, extra_args=["--temp", "1", "--lora", good, OUTSIDE])


@pytest.mark.parametrize(
    "words",
    [
        ["--model"], ["--model", "--alias"], ["--model", "-x/../../etc/passwd"], [OUTSIDE],
        ["--MODEL", OUTSIDE], ["--log_file", OUTSIDE], ["-m", OUTSIDE], ["--mlock", OUTSIDE],
        ["--alias", "a", "-lcs", "x"], ["--hf-repo", "org/m"], ["-hfd", "org/m"],
        ["--gpt-oss-20b-default"], ["--fim-qwen-1.5b-default"],
    ],
)  # fmt: skip
def test_no_order_of_further_arguments_gets_by(roots: Path, words: list[str]) -> None:
    assert refused(confined(roots), extra_args=words)


def test_what_other_programs_are_given_is_bound(roots: Path) -> None:
    """A backend of any command, or in a container: what their definitions would say."""
    by = confined(commands=False)
    for name in ("command", "args", "docker_image", "docker_args", "trust_remote_code",
                 "worker_cls", "tool_parser_plugin"):  # fmt: skip
        assert refused(by, **{name: ["-c", "x"] if name == "args" else "x"}) == [name]

    by = confined(roots, commands=False)
    assert refused(by, args=[OUTSIDE]) and refused(by, working_dir="/")
    assert not refused(by, health_path="/health", served_model="org/model", args=[])
    assert refused(by, model=5) == ["model"]  # a file may have such a name


def test_text_with_a_slash_is_text(roots: Path) -> None:
    by = confined(roots, commands=False)

    assert not refused(
        by, chat_template="{{ a/b }}", alias="org/model", override_tensor="ffn/.*=CPU",
        json_schema='{"$ref": "#/x"}', extra_args=["--no-mmproj", "--grammar", 'root ::= "/"'],
        lora_init_without_apply=True, hf_token="a/b",
    )  # fmt: skip


def test_a_repository_is_where_its_file_is(roots: Path) -> None:
    good, bad = {"model": f"{roots}/a.gguf"}, {"model": OUTSIDE}

    assert not refused(confined(roots), hf_repo="org/model:Q4_0", hf_file="a.gguf")
    assert not refused(confined(roots, resolved=good), hf_repo="org/model")
    assert refused(confined(roots, resolved=bad), hf_repo="org/model") == ["hf_repo"]
    # with a model of its own, the engine would fetch it
    assert refused(confined(roots), hf_repo="org/model", model=f"{roots}/a.gguf") == ["hf_repo"]


def test_what_a_router_is_told_by_a_file_or_a_folder_is_bound(roots: Path, tmp_path: Path) -> None:
    preset = roots / "models.ini"
    preset.write_text(f"[*]\nctx-size = 512\n[one]\nmodel = {OUTSIDE}\n[two]\ntools = all\n")
    (tmp_path / "far.gguf").touch()
    (roots / "near").mkdir()
    (roots / "near" / "far.gguf").symlink_to(tmp_path / "far.gguf")

    assert refused(confined(roots), models_preset=str(preset)) == ["models_preset (one: model)"]
    assert refused(confined(commands=False), models_preset=str(preset)) == [
        "models_preset (two: tools)"
    ]
    assert refused(confined(roots), models_dir=str(roots / "near"))
    assert not refused(confined(roots), models_dir=str(roots / "none"))
    preset.write_text(f"[x]\nmodels-preset = {preset}\n")
    assert not refused(confined(roots), models_preset=str(preset))


def test_a_preset_in_a_definition_is_bound_as_one_in_a_file_is(roots: Path) -> None:
    text = f"[*]\nctx-size = 512\n[one]\nmodel = {OUTSIDE}\n[two]\ntools = all\n"
    given = InstanceOptions(preset_ini=text)

    def fields(by: Confinement) -> list[str]:
        return [problem.field for problem in by.problems(given)]

    assert fields(confined(roots)) == ["preset_ini (one: model)"]
    assert fields(confined(commands=False)) == ["preset_ini (two: tools)"]
    assert fields(confined()) == []


def test_a_variable_that_names_a_file_is_bound_by_the_roots(roots: Path) -> None:
    by = confined(roots)

    assert refused_variable(by, "LLAMA_CACHE", "/elsewhere")
    assert refused_variable(by, "LLAMA_CACHE", "cache")
    assert refused_variable(by, "MY_MODELS", f"{roots}:/elsewhere")
    assert refused_variable(by, "WHERE", "file:///etc")
    assert not refused_variable(by, "MY_MODELS", f"{roots}/a:{roots}/b")


def test_the_message_names_field_and_setting_and_what_to_do() -> None:
    by = confined(Path("/srv/models"), commands=False)
    given = InstanceOptions(command_override="/bin/sh", backend_options={"model": OUTSIDE})

    with pytest.raises(ForbiddenBySettings) as caught:
        asyncio.run(by.check(given))
    said = caught.value
    assert said.status == 403
    assert said.fields == ["command_override", "model"]
    for word in ("command_override: allow_commands is off", "leave it out", "model_roots",
                 f"model: {OUTSIDE} is outside", "use a path in one of those folders"):  # fmt: skip
        assert word in said.message


def test_no_message_shows_a_secret(roots: Path) -> None:
    found = confined(roots).problems(
        InstanceOptions(backend_options={"model": "https://me:hunter2@example.org/a.gguf"})
    )

    assert [one.field for one in found] == ["model"]
    assert "hunter2" not in str(found[0])


def test_without_the_settings_nothing_is_bound() -> None:
    given = InstanceOptions(
        command_override="/bin/sh", environment={"LD_PRELOAD": "/x.so"},
        backend_options={"model": OUTSIDE, "tools": "all", "model_url": "https://x/y"},
    )  # fmt: skip

    asyncio.run(confined().check(given))
    assert confined().problems(given) == []
    assert (len(programs(given)), len(fetched(given)), len(files(given))) == (3, 1, 1)


def test_roots_are_read_from_a_variable_by_commas() -> None:
    settings = Settings.model_validate({"model_roots": "/a b, /c"})

    assert settings.roots == (Path("/a b"), Path("/c"))
    assert Settings().roots == () and Settings().allow_commands
