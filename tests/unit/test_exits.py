"""Whose fault was an exit?"""

from __future__ import annotations

import pytest

from llamactl.backends import BACKENDS
from llamactl.backends.exits import classify
from llamactl.core.exits import ExitReport, FailureClass
from support import sglang_recorded

LLAMA = BACKENDS["llama_cpp"]
NO_MEMORY = ["ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 9"]


@pytest.mark.parametrize("signal", [4, 5, 6, 7, 8, 11, 31])
def test_a_signal_of_its_own_making_is_its_own_fault_through_a_shell_too(signal: int) -> None:
    assert classify(LLAMA, None, signal, []).own_fault
    assert classify(LLAMA, 128 + signal, None, []).own_fault


@pytest.mark.parametrize("signal", [1, 2, 3, 9, 15])
def test_a_signal_that_others_send_is_not_whatever_the_log_says(signal: int) -> None:
    for log in ([], NO_MEMORY):
        for code, number in ((None, signal), (128 + signal, None)):
            report = classify(LLAMA, code, number, log)
            assert report.failure is FailureClass.KILLED
            assert not report.own_fault


@pytest.mark.parametrize(("code", "signal"), [(None, 9), (137, None), (None, None)])
def test_out_of_memory_by_the_kernels_word(code: int | None, signal: int | None) -> None:
    report = classify(LLAMA, code, signal, [], oom_killed=True)

    assert report.failure is FailureClass.OUT_OF_MEMORY and report.own_fault


def test_an_engine_that_exits_with_0_was_asked_to_whatever_it_logged_before() -> None:
    report = classify(LLAMA, 0, None, NO_MEMORY)

    assert report.failure is FailureClass.KILLED and "asked it to" in report.advice
    assert classify(BACKENDS["command"], 0, None, ["MemoryError"]).failure is not report.failure


@pytest.mark.parametrize(
    ("log", "line"),
    [
        (["--- start 1: engine", "E one: failed", "E two: failed", "I bye"], "E two: failed"),
        (["E lora: failed to open", "E init: exiting due to model loading error"],
         "E lora: failed to open"),
        (["I loading", "I bye"], "I bye"),
        (["--- start 1: engine"], ""),
        (["ValueError: x" + "y" * 1000], "ValueError: x" + "y" * 487),
    ],
)  # fmt: skip
def test_an_unknown_exit_quotes_the_last_line_that_says_why(log: list[str], line: str) -> None:
    report = classify(LLAMA, 1, None, log)

    assert report.error_line == line
    assert line == "" or (line in report.explanation and line not in report.summary)


def test_the_oom_killer_struck_somebody_else() -> None:
    assert classify(LLAMA, None, 15, [], oom_killed=True).failure is FailureClass.KILLED
    assert classify(LLAMA, None, 11, [], oom_killed=True).failure is FailureClass.CRASHED


def test_out_of_memory_by_its_own_word_and_an_error_of_its_own() -> None:
    assert classify(LLAMA, 1, None, NO_MEMORY).failure is FailureClass.OUT_OF_MEMORY
    assert classify(LLAMA, 1, None, []).own_fault
    assert not classify(LLAMA, 0, None, []).own_fault
    assert not classify(LLAMA, None, None, []).own_fault  # nobody knows


@pytest.mark.parametrize(
    "failure", [FailureClass.UNRESPONSIVE, FailureClass.UNPROVED, FailureClass.START_TIMED_OUT]
)
def test_what_we_end_ourselves_is_not_its_own_doing(failure: FailureClass) -> None:
    assert not ExitReport(failure, None, 9).own_fault
    assert not ExitReport(failure, 1).own_fault


ITS_END = "[2026-11-29 07:37:29] kill_process_tree called: parent_pid=7, include_parent=True, pid=7"


@pytest.mark.parametrize(
    ("log", "wanted"),
    [
        ([ITS_END], FailureClass.CRASHED),
        (["ValueError: weights leave no GPU memory for the KV cache", ITS_END],
         FailureClass.OUT_OF_MEMORY),
        (["Not enough memory. Please try to increase --mem-fraction-static.", ITS_END, "bye"],
         FailureClass.OUT_OF_MEMORY),
        ([ITS_END.replace("True", "False")], FailureClass.KILLED),
        ([ITS_END.replace("pid=7", "pid=8", 1)], FailureClass.KILLED),  # another process of its
        ([ITS_END, *["INFO: serving"] * 9], FailureClass.KILLED),  # it lived on
        (["MemoryError"], FailureClass.KILLED),
    ],
)  # fmt: skip
def test_an_engine_that_kills_itself_was_not_killed_by_others(
    log: list[str], wanted: FailureClass
) -> None:
    report = classify(BACKENDS["command"], None, 9, log)

    assert report.failure is wanted and report.own_fault == (wanted is not FailureClass.KILLED)
    assert classify(BACKENDS["command"], 137, None, log).failure is wanted
    by_kernel = classify(BACKENDS["command"], None, 9, log, oom_killed=True)
    assert by_kernel.failure is FailureClass.OUT_OF_MEMORY and "kernel" in by_kernel.advice


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("couldn't bind to server socket: hostname=127.0.0.1 port=42000", FailureClass.PORT_TAKEN),
        ("ERROR: [Errno 98] error while attempting to bind on address: address already in use",
         FailureClass.PORT_TAKEN),
        ("Error: listen EADDRINUSE: address already in use", FailureClass.PORT_TAKEN),
        ("Ports 5000 and 5001 are in use by different services.", FailureClass.PORT_TAKEN),
        ("serve: error: unrecognized arguments: --x", FailureClass.BAD_OPTION),
        ("\u2502 No such option: --x Did you mean --y?     \u2502", FailureClass.BAD_OPTION),
        ("serve: unrecognized option '--x'", FailureClass.BAD_OPTION),
        ("serve: invalid option -- 'x'", FailureClass.BAD_OPTION),
        ("flag provided but not defined: -x", FailureClass.BAD_OPTION),
        ("Error: unknown flag: --x", FailureClass.BAD_OPTION),
        ("error: unexpected argument '--x' found", FailureClass.BAD_OPTION),
        ("error: Found argument '--x' which wasn't expected, or isn't valid in this context",
         FailureClass.BAD_OPTION),
        ("error: unknown argument: --x", FailureClass.BAD_OPTION),
        ("error: unknown option '--x'", FailureClass.BAD_OPTION),
        ("OSError: Repo id must be in the form 'repo_name' or 'namespace/repo_name': '/no/model'.",
         FailureClass.MODEL_FILE_MISSING),
    ],
)  # fmt: skip
@pytest.mark.parametrize("code", [0, 1])
def test_a_command_that_ends_says_why_in_the_words_of_its_runtime(
    line: str, wanted: FailureClass, code: int
) -> None:
    report = classify(BACKENDS["command"], code, None, ["loading", line, "", "usage: serve"])

    assert (report.failure, report.error_line) == (wanted, line)


def test_a_line_that_only_says_that_it_failed_explains_nothing() -> None:
    log = ["RuntimeError: no tokenizer", "ERROR:    Application startup failed. Exiting."]

    assert classify(BACKENDS["command"], 3, None, log).error_line == log[0]
    assert classify(BACKENDS["command"], 3, None, log[1:]).error_line == log[1]


@pytest.mark.parametrize(
    ("log", "code", "wanted"),
    [
        ("port-taken", None, FailureClass.PORT_TAKEN),  # it ended itself when it was not answered
        ("memory", None, FailureClass.OUT_OF_MEMORY),
        ("scheduler-killed", None, FailureClass.CRASHED),
        ("missing-path", 1, FailureClass.MODEL_FILE_MISSING),
        ("unknown-option", 2, FailureClass.BAD_OPTION),
    ],
)
def test_what_sglang_said_when_it_ended_is_understood(
    log: str, code: int | None, wanted: FailureClass
) -> None:
    lines = sglang_recorded.log(log).splitlines()
    quieter = [line for line in lines if "kill_process_tree" not in line or log == "port-taken"]

    for said in (lines, quieter):
        report = classify(BACKENDS["command"], code, None if code else 9, said)

        assert report.failure is wanted and report.error_line


@pytest.mark.parametrize(
    "line",
    ["json.decoder.JSONDecodeError: Expecting value",
     "FileNotFoundError: [Errno 2] No such file or directory: '/etc/serve/config.json'"],
)  # fmt: skip
def test_a_commands_own_files_are_not_taken_for_its_models(line: str) -> None:
    report = classify(BACKENDS["command"], 1, None, [line])

    assert (report.failure, report.error_line) == (FailureClass.UNKNOWN, line)
