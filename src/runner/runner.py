"""The PRISM runner: the Python process inside the sandbox.

The referee (Rust) starts it with PRISM_SOCKET set: by torchrun, once per rank, for phase `train`;
as a plain process for `twin` and `heldout`.

It imports a submission's two scripts, gives them their context, asks the model for logits when the
referee wants them, and hands out each batch after it was predicted. Everything in this process is
under the submission's control, so:

Guaranteed for honest submissions
- Python's, torch's and numpy's seeds are forced before any submission code is imported, at every
  `build_model` call and before `train(ctx)`; deterministic kernels are asked for (a warning where
  torch has none).
- A prediction is made in eval mode, without gradients and autocast, on a copy of the ids, under the
  float32 precision and default dtype that stood after the architecture was imported. Modes,
  settings and random states are put back: the run does not depend on how often the referee asks.
- `tokens` and `targets` of a batch are private copies. Only tensors are saved, as safetensors;
  loading is strict.
- What a submission raises (SystemExit too) is reported with its stage and place, and the process
  exits with 1.
- The referee gets the digest of every source file's syntax tree before the first import.
- The project's folders come last in sys.path: a file of the bundle never shadows a library.

Not guaranteed
- Nothing here resists a hostile submission: it can send any frame and write any logits. No number
  that scores is made here; the referee checks geometry, causality, repeatability, budgets, tensors
  and saved weights by itself.
- PYTHONHASHSEED and CUBLAS_WORKSPACE_CONFIG come from the launcher. Determinism on CUDA is as good
  as torch's.
- Under FullyShardedDataParallel predictions and the saved state need collectives that the order of
  frames does not promise; it is tried for one rank only. A model with state outside its registered
  tensors will not be the same when it is loaded again.
- Tensors held by closures, by classes, or by other modules than the architecture's are not counted.
"""

from __future__ import annotations

import os
import platform
import sys
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
if HERE not in sys.path:
    sys.path.insert(0, HERE)

import torch  # noqa: E402

from prism_runner import failure  # noqa: E402
from prism_runner.session import Session  # noqa: E402
from prism_runner.wire import Channel, ChannelClosed, ProtocolError  # noqa: E402

PROTOCOL = 4
PLAN_KEYS = {
    "kind", "phase", "submission_id", "project_dir", "architecture", "training", "context",
    "tokenizers", "weights", "commit", "threads", "determinism",
}  # fmt: skip


def own_place() -> dict[str, Any]:
    """Rank and device of this process, from torchrun's environment."""
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    has_cuda = torch.cuda.is_available() and local_rank < torch.cuda.device_count()
    return {
        "rank": int(os.environ.get("RANK", "0")),
        "local_rank": local_rank,
        "world_size": int(os.environ.get("WORLD_SIZE", "1")),
        "device": f"cuda:{local_rank}" if has_cuda else "cpu",
    }


def device_name(device: str) -> str:
    """Model name of the GPU or the CPU."""
    if device != "cpu":
        return torch.cuda.get_device_name(device)
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def main() -> None:
    """Says hello, takes the plan, runs its phase. Does not return."""
    socket_path = os.environ.get("PRISM_SOCKET")
    if not socket_path:
        failure.leave_with("PRISM_SOCKET is not set: the referee starts this script, not a person")
    own = own_place()
    try:
        channel = Channel(socket_path)
        channel.send(
            "hello",
            protocol=PROTOCOL,
            python=platform.python_version(),
            torch=str(torch.__version__),
            device_name=device_name(own["device"]),
            **own,
        )
        plan = channel.receive()
        if plan["kind"] != "plan" or not plan.keys() >= PLAN_KEYS:
            raise ProtocolError(f"expected a plan, got {plan['kind']!r} with keys {sorted(plan)}")
        Session(channel, plan, own).run()
    except ChannelClosed:
        failure.leave(1)
    except ProtocolError as error:
        failure.leave_with(f"protocol: {error}")
    except OSError as error:
        failure.leave_with(f"{socket_path}: {error}")


if __name__ == "__main__":
    main()
