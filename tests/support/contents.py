"""JSON bodies of one kind of content each, of any size."""

from __future__ import annotations

# What is usual, and each kind that has been expensive for some way to scan: what comes before many
# of it, one of it, what comes behind.
CONTENTS = {
    "text": (b'{"a":"', b"The quick brown fox jumps. ", b'"'),
    "messages": (b'{"a":[', b'{"role":"user","content":"Say \\"hello\\".\\n"},', b"{}]"),
    "escapes": (b'{"a":"', b"\\n", b'"'),
    "escaped backslashes": (b'{"a":"', b"\\\\", b'"'),
    "escaped quotes": (b'{"a":"', b'\\"', b'"'),
    "objects": (b'{"a":[', b"{},", b"1]"),
    "strings": (b'{"a":[', b'"",', b"1]"),
    "brackets in strings": (b'{"a":[', b'"{",', b"1]"),
    "numbers": (b'{"a":[', b"1,", b"1]"),
    "keys": (b'{"a":1', b',"":{}', b""),
    "escaped keys": (b'{"a":1', b',"\\u0041":1', b""),
    "models further in": (b'{"a":[', b'{"model":1},', b"1]"),
    "models one level down": (b'{"a":1', b',"a":{"model":1}', b""),
    "escaped models one level down": (b'{"a":1', b',"a":{"\\u006dodel":1}', b""),
    "spaced models one level down": (b'{"a":1', b',"a":{"model" :1}', b""),
    "models as values": (b'{"a":1', b',"a":"model"', b""),
    "nested": (b'{"a":[', b"[" * 500 + b"]" * 500 + b",", b"1]"),
    "nested a little": (b'{"a":[', b"[[[[[]]]]],", b"1]"),
    "spaces": (b'{"a":', b" ", b"1"),
    "a model and spaces": (b'{"a":1,"model"', b" ", b':"x"'),
}


def of_content(kind: str, size: int) -> bytes:
    begin, many, end = CONTENTS[kind]
    model = b"" if kind == "a model and spaces" else b',"model":"x"'
    return begin + many * (size // len(many)) + end + model + b"}"
