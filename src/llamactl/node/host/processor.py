"""What this machine's processor can do."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_LISTED = re.compile(r"(?:flags|Features)\s*:\s*(.*)")  # x86, ARM
# Names of instruction sets that a compiler uses. Others, such as smep or x86's sme, which encrypts
# memory, change with the kernel and its settings.
_INSTRUCTIONS = re.compile(
    r"(?:mmx|pni|s?sse\w*|avx\w*|amx_\w+|fma4?|f16c|bmi[12]|abm|popcnt|movbe|adx|sha_ni|sha[1-5]\w*"
    r"|v?aes|v?pclmulqdq|gfni|xop|tbm|fp|fphp|asimd\w*|sve\w*|i8mm|bf16|crc32|atomics|lrcpc|pmull"
    r"|jscvt|fcma)\Z"
)


@cache
def instruction_sets() -> frozenset[str]:
    """As the kernel names them; none where it doesn't."""
    try:
        with _CPUINFO.open(encoding="ascii", errors="replace") as lines:
            listed = next((found[1] for line in lines if (found := _LISTED.match(line))), "")
    except OSError:
        return frozenset()
    return named_in(listed)


def named_in(listed: str) -> frozenset[str]:
    """The instruction sets among the processor's flags."""
    return frozenset(word for word in listed.split() if _INSTRUCTIONS.match(word))
