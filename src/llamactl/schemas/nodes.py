"""The machines that run instances."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class NodeBody(BaseModel):
    """A machine of the cluster."""

    name: str = Field(description="name of the node")
    state: Literal["here", "up", "away"] = Field(
        description="`here`: the server's own machine; `away`: it can't be reached"
    )
    address: str = Field(description="address of the machine; empty if it was not seen yet")
    version: str = Field(description="version of llamactl there; empty if unknown")
    ram: int | None = Field(description="bytes of memory; null if unknown")
    gpus: dict[str, int] = Field(description="bytes of memory of each GPU")
    instances: list[str] = Field(
        description="names of the instances that run there, or did so last"
    )
    drained: bool = Field(default=False, description="whether nothing starts there")
    labels: dict[str, str] = Field(
        default_factory=dict, description="its labels, for `node_labels` of instances"
    )
    out_of_service: list[str] = Field(
        default_factory=list, description="names of its GPUs that no start uses"
    )
