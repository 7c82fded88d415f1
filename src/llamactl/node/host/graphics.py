"""Which makers' GPUs this machine has, whether or not anything can use them: from PCI.

https://docs.kernel.org/PCI/sysfs-pci.html
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

_PCI = Path("/sys/bus/pci/devices")
_MAKERS: Mapping[str, str] = {"0x10de": "NVIDIA", "0x1002": "AMD", "0x8086": "Intel"}
_DISPLAY = "0x03"  # the class of display controllers, those without a monitor too
# What their drivers make: without it nothing reaches the GPU.
_NODES: Mapping[str, str] = {"NVIDIA": "nvidiactl", "AMD": "kfd", "Intel": "dri"}


def makers() -> tuple[str, ...]:
    """Each once, in the order of the slots."""
    found = dict[str, None]()
    for device in sorted(_PCI.glob("*")):
        with suppress(OSError):
            if (device / "class").read_text(encoding="ascii").startswith(_DISPLAY):
                maker = _MAKERS.get((device / "vendor").read_text(encoding="ascii").strip())
                if maker:
                    found[maker] = None
    return tuple(found)


def has_driver(maker: str) -> bool:
    return (Path("/dev") / _NODES[maker]).exists()
