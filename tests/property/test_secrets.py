"""Masks hide every secret, and lose nothing: what was shown, given back, is what is stored."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from llamactl.core.secrets.masking import masked, unmasked

# Of no other text here; what surrounds it may be anything.
SECRETS = st.from_regex(r"zq[A-Za-z0-9+/_.-]{0,30}qz", fullmatch=True)
TEXTS = st.text(max_size=20)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), TEXTS)
NAMES = st.sampled_from(
    ["hf_token", "apiKey", "Authorization", "password", "client-secret", "HF_TOKEN"]
)
PLAIN = st.sampled_from(["model", "max_tokens", "stop", "image_min_tokens", "tools", "url"])
FLAGS = st.sampled_from(["--api-key", "--hf-token", "-hft", "--client_secret", "--password"])
ODD = st.sampled_from(
    [
        "x",
        "--verbose",
        "-c",
        "4",
        "a b",
        "'",
        '"',
        "{",
        "://",
        "=",
        "********",
        "--image-max-tokens",
    ]
)


def words(secret: str) -> st.SearchStrategy[list[str]]:
    """What a secret may look like on a command line."""
    return st.one_of(
        FLAGS.map(lambda flag: [flag, secret]),
        FLAGS.map(lambda flag: [f"{flag}={secret}"]),
        NAMES.map(lambda name: ["-e", f"{name.replace('-', '_')}={secret}"]),
        NAMES.map(lambda name: [f"{name}={secret}"]),
        st.just(["-H", f"Authorization: Bearer {secret}"]),
        st.just(["--header", f"X-Who: {secret}"]),
        st.just([f"https://u:{secret}@h/p?a=1"]),
        NAMES.map(lambda name: [f"https://h/p?a=1&{name}={secret.replace('+', '')}#x"]),
        NAMES.map(lambda name: ["--json", f'{{"a": [{{"{name}": "{secret}"}}], "b": 1}}']),
    )


@st.composite
def values(draw: st.DrawFn) -> tuple[Any, list[str]]:
    """A tree, and the secrets in it."""
    secrets: list[str] = []

    def secret() -> str:
        secrets.append(draw(SECRETS).replace("+", "").replace("//", "/"))
        return secrets[-1]

    def tree(depth: int) -> Any:
        kind = draw(st.integers(0, 5 if depth else 2))
        match kind:
            case 0 | 1:
                return draw(SCALARS)
            case 2:
                parts = [words(secret()) for _ in range(draw(st.integers(0, 3)))]
                return [word for part in parts for word in [*draw(part), *draw(ODD)]]
            case 3:
                return [tree(depth - 1) for _ in range(draw(st.integers(0, 3)))]
            case 4:
                return {draw(NAMES): secret(), draw(PLAIN): tree(depth - 1)}
            case _:
                return {draw(PLAIN): tree(depth - 1), "environment": {"ANY": secret()}}

    return tree(3), secrets


@given(values())
def test_what_is_masked_can_be_given_back(case: tuple[Any, list[str]]) -> None:
    value, _ = case

    assert unmasked(masked(value), value) == value


@given(values())
def test_no_secret_is_shown(case: tuple[Any, list[str]]) -> None:
    value, secrets = case
    text = str(masked(value))

    assert not [secret for secret in secrets if secret in text]


@given(values())
def test_what_is_masked_stays_as_it_is(case: tuple[Any, list[str]]) -> None:
    shown = masked(case[0])

    assert masked(shown) == shown


@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner)))
def test_any_value_survives(value: Any) -> None:
    assert unmasked(masked(value), value) == value
