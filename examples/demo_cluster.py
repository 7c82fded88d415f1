"""Three machines, here as namespaces of this one: a model on each, and one machine dies.

Needs root, for the namespaces.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from server import model_path, say

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.clusters import ClusterMachine, cluster
from support.waits import until

QUESTION = "What is the capital of France? Answer in one sentence."
SETTINGS = "instances: {node_grace: 5}"


def main() -> int:
    say("one: llamactl cluster init, llamactl serve; two and three: llamactl node join")
    with (
        tempfile.TemporaryDirectory(prefix="llamactl-", dir="/tmp") as folder,
        cluster(Path(folder), "one", "two", "three", settings=SETTINGS) as machines,
    ):
        head = machines[0]
        head.until_nodes(one="here", two="up", three="up")
        show(head, "node", "ls")
        say(f"creating three instances from {model_path().name}; none says where")
        for name in ("red", "green", "blue"):
            body = {"model": str(model_path()), "ctx_size": 1024, "parallel": 1}
            head.request("POST", f"/api/v1/instances/{name}?wait=true", body).raise_for_status()
        show(head, "ps")
        dies = next(one for one in machines[1:] if on(head, one.name))
        [name, *_] = on(head, dies.name)
        say(f"asking {name}, which runs on {dies.name}: {QUESTION}")
        ask(head, name)
        say(f"pulling the plug of {dies.name}")
        dies.machine.run("ip", "link", "set", "eth0", "down")
        until(f"{dies.name} away", lambda: state(head, dies.name), lambda now: now == "away")
        show(head, "node", "ls")
        say(f"asking {name} again; after {SETTINGS} it starts elsewhere")
        ask(head, name)
        show(head, "ps")
    say("all machines are gone")
    return 0


def on(head: ClusterMachine, node: str) -> list[str]:
    rows = head.request("GET", "/api/v1/instances").json()
    return [row["name"] for row in rows if row["node"] == node]


def state(head: ClusterMachine, node: str) -> str:
    rows = head.request("GET", "/api/v1/nodes").json()
    return next(str(row["state"]) for row in rows if row["name"] == node)


def ask(head: ClusterMachine, name: str) -> None:
    messages = [{"role": "user", "content": QUESTION}]
    body = {"model": name, "messages": messages, "max_tokens": 60, "temperature": 0}
    began = time.monotonic()
    answer = head.request("POST", "/v1/chat/completions", body)
    answer.raise_for_status()
    print(f"    {answer.json()['choices'][0]['message']['content'].strip()}")
    print(f"    ({time.monotonic() - began:.1f} s)")


def show(head: ClusterMachine, *words: str) -> None:
    say(f"llamactl {' '.join(words)}")
    for line in head.llamactl(*words).splitlines():
        print(f"    {line}")


if __name__ == "__main__":
    sys.exit(main())
