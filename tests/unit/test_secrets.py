"""What is secret, and what only sounds so."""

from __future__ import annotations

from typing import Any

import pytest

from llamactl.core.errors import InvalidRequest
from llamactl.core.secrets.masking import (
    MASK,
    masked,
    masked_text,
    names_secret,
    scrubbed,
    secrets_of,
    unmasked,
)


@pytest.mark.parametrize(
    "name",
    ["hf_token", "hf-token", "HF_TOKEN", "hfToken", "--api-key", "api_key", "apiKey", "apikey",
     "X-Api-Key", "OPENAI_API_KEY", "token", "key", "Authorization", "Cookie", "Set-Cookie",
     "management_keys", "auth.management_keys", "api_keys", "access_tokens", "DB_PASS",
     "password", "PGPASSWORD", "client_secret", "aws_secret_access_key", "session_token",
     "ssh_private_key", "GITHUB_TOKEN", "mytoken", "credentials", "Proxy-Authorization"],
)  # fmt: skip
def test_these_names_are_secret(name: str) -> None:
    assert names_secret(name)


@pytest.mark.parametrize(
    "name",
    ["image_min_tokens", "image_max_tokens", "max_tokens", "max_completion_tokens", "n_keep",
     "keep", "monkey", "keyframes", "cache_type_k", "token_embedding_type", "timing_per_token",
     "tokenize_ids", "mtmd_batch_max_tokens", "stop_tokens", "bos_token", "eos_token_id",
     "prompt_cache_key", "public_key", "ssl_key_file", "api_key_file", "api_key_env",
     "api_key_flag", "token_count",
     "thinking_budget_tokens", "logit_bias", "keep_alive", "turkey", "author", "bypass",
     "key_length", "attention.key_length", "tokenizer", "passage", "low_pass", "model", ""],
)  # fmt: skip
def test_these_names_only_sound_secret(name: str) -> None:
    assert not names_secret(name)


S = "s3cret-v@lue"
T = "s3cret-value"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (["--api-key", S, "-c", "4"], ["--api-key", MASK, "-c", "4"]),
        ([f"--api-key={S}", "-c", "4"], [f"--api-key={MASK}", "-c", "4"]),
        (["-hft", S, "x"], ["-hft", MASK, "x"]),
        (["--hf-token", "-" + T], ["--hf-token", MASK]),
        (["--hf_token", S], ["--hf_token", MASK]),
        (["--pin-token", 1234], ["--pin-token", MASK]),
        (["--allow-credentials", "--port", "1"], ["--allow-credentials", "--port", "1"]),
        (["--token", "--verbose", "x"], ["--token", "--verbose", "x"]),
        (["--ctx-size=4", "-m", "api-key"], ["--ctx-size=4", "-m", "api-key"]),
        (["--image-min-tokens", "64"], ["--image-min-tokens", "64"]),
        (["-H", f"Authorization: Bearer {T}"], ["-H", f"Authorization: Bearer {MASK}"]),
        (["-H", f"X-Who: {T}"], ["-H", f"X-Who: {MASK}"]),
        (["-H", "Accept: text/html"], ["-H", "Accept: text/html"]),
        (["run", "-e", f"HF_TOKEN={T}", "i"], ["run", "-e", f"HF_TOKEN={MASK}", "i"]),
        (["-e", f"WHO={T}"], ["-e", f"WHO={MASK}"]),
        ([f"HF_TOKEN={T} x", "llama-server"], [f"HF_TOKEN={MASK}", "llama-server"]),
        (["-mu", f"https://u:{T}@h/m.gguf"], ["-mu", f"https://u:{MASK}@h/m.gguf"]),
        (["-mu", f"https://{T}@h/m.gguf"], ["-mu", f"https://{MASK}@h/m.gguf"]),
        (["-mu", f"https://{T}:x-oauth-basic@h/m"], ["-mu", f"https://{MASK}:x-oauth-basic@h/m"]),
        (["-mu", f"https://h/m?a=1&token={T}&b=2"], ["-mu", f"https://h/m?a=1&token={MASK}&b=2"]),
        (["-mu", f"https://h/m?key={T}"], ["-mu", f"https://h/m?key={MASK}"]),
        ([f"https://h/m?X-Amz-Signature={T}"], [f"https://h/m?X-Amz-Signature={MASK}"]),
        ([f'{{"a": {{"api_key": "{T}", "n": 1}}}}'],
         [f'{{"a": {{"api_key": "{MASK}", "n": 1}}}}']),
        ([f'{{"api_keys": ["{T}", "b"]}}'], [f'{{"api_keys": "{MASK}"}}']),
        ([f'{{"api_key": "{T}'], [f'{{"api_key": "{MASK}"']),
        ([f"{{'api_key': '{T}'}}"], [f"{{'api_key': '{MASK}'}}"]),
    ],
)  # fmt: skip
def test_words_of_a_command_are_masked(given: list[Any], shown: list[Any]) -> None:
    assert masked(given) == shown
    assert unmasked(shown, given) == given


@pytest.mark.parametrize(
    "text",
    [f"llama-server --api-key {T} -c 4", f'llama-server --api-key="{T}" -c 4',
     f"HF_TOKEN={T} llama-server -m x", f"curl -H 'Authorization: Bearer {T}' http://h",
     f"cannot use postgresql://u:{T}@db:5432/x", f"postgresql://u:a/{T}@db/x",
     f"extra_args may not hold '--api-key={T}'", f'{{"error": "x", "token": "{T}"}}',
     f"X-Api-Key: {T}", f"Bearer {T}", f"http://proxy:3128/?password={T}", f"api_key: {T}"],
)  # fmt: skip
def test_secrets_are_masked_in_texts(text: str) -> None:
    shown = masked_text(text)

    assert T not in shown and MASK in shown
    assert unmasked({"a": shown}, {"a": text}) == {"a": text}


@pytest.mark.parametrize(
    "text",
    ["http://127.0.0.1:8080/v1/x@y", "https://huggingface.co/org/repo", "-m /models/key.gguf",
     "the engine exited with code 1 (crashed): see its log", "time 12:30:01 token 5 of 9",
     "a.b@c.org", "--keep 4 --image-max-tokens 512 --cache-type-k q8_0"],
)  # fmt: skip
def test_texts_without_secrets_stay(text: str) -> None:
    assert masked_text(text) == text


def test_fields_are_masked_by_their_names_and_places() -> None:
    given = {
        "environment": {"ANY": T, "EMPTY": ""},
        "response_headers": {"X-Who": T, "Cache-Control": "no-store"},
        "default_params": {"tools": [{"authorization": T, "url": f"https://h?sig={T}"}],
                           "max_tokens": 5, "use_key": True, "secrets": {"a": [T, 7]}},
        "json_schema": {"properties": {"token": {"type": "string"}}},
    }  # fmt: skip

    shown = masked(given)

    assert T not in str(shown)
    assert shown["environment"] == {"ANY": MASK, "EMPTY": ""}
    assert shown["response_headers"] == {"X-Who": MASK, "Cache-Control": "no-store"}
    assert shown["default_params"]["max_tokens"] == 5
    assert shown["default_params"]["use_key"] is True
    assert shown["default_params"]["secrets"] == {"a": [MASK, MASK]}
    assert shown["json_schema"] == given["json_schema"]
    assert unmasked(shown, given) == given


STORED = ["--header", "Authorization: Bearer a1", "--header", "Authorization: Bearer b2",
          "--hf-token", "c3"]  # fmt: skip


@pytest.mark.parametrize(
    ("shown", "then"),
    [
        (["--verbose", *masked(STORED)], ["--verbose", *STORED]),
        ([*masked(STORED)[4:], *masked(STORED)[:4]], [*STORED[4:], *STORED[:4]]),
        (masked(STORED)[4:], STORED[4:]),
        ([*STORED[:1], "Authorization: Bearer new", *masked(STORED)[2:]],
         [*STORED[:1], "Authorization: Bearer new", *STORED[2:]]),
        (["--header", "Authorization: Bearer new", *masked(STORED)],
         ["--header", "Authorization: Bearer new", *STORED]),
    ],
)  # fmt: skip
def test_a_mask_finds_its_value_where_a_list_changed(shown: list[str], then: list[str]) -> None:
    assert unmasked(shown, STORED) == then


@pytest.mark.parametrize(
    ("shown", "why"),
    [(masked(STORED)[2:], "several"), (["--api-key", MASK], "no stored value"),
     ({"environment": {"A": MASK}}, "no stored value")],
)  # fmt: skip
def test_a_mask_that_stands_for_nothing_known_is_refused(shown: Any, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        unmasked(shown, STORED)


def test_a_mask_where_no_secret_can_be_is_a_text_like_any_other() -> None:
    assert unmasked({"stop": [MASK]}, {"stop": ["a"]}) == {"stop": [MASK]}


def test_what_an_engine_wrote_is_scrubbed_of_the_secrets_it_was_given() -> None:
    known = secrets_of({"hf_token": T, "environment": {"GPUS": "0123", "MY_TOKEN": "hidden"}})

    assert known == {T, "hidden"}
    assert scrubbed(f"error: bad {T}, 0123 hidden", known) == f"error: bad {MASK}, 0123 {MASK}"
