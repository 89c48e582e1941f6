"""The shared memory that the referee creates: token ids and targets come in, logits and losses go out."""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from typing import Any

import torch

from .wire import ProtocolError

_frombuffer = torch.frombuffer


@dataclass(frozen=True)
class Blackboard:
    """Views on one mapping: `ids`, `targets` int32 [batch, seq], `nats` float64 [batch, seq],
    `logits` float32 [batch, seq, vocab].
    """

    ids: torch.Tensor
    targets: torch.Tensor
    nats: torch.Tensor
    logits: torch.Tensor

    def ids_for(self, device: torch.device) -> torch.Tensor:
        """A private int64 copy of the ids on `device`."""
        return self.ids.to(torch.int64).to(device)

    def targets_for(self, device: torch.device) -> torch.Tensor:
        """A private int64 copy of the targets on `device`."""
        return self.targets.to(torch.int64).to(device)


def attach(frame: dict[str, Any], fd: int) -> Blackboard:
    """Maps the memory of an `attach` frame and closes `fd`. ProtocolError if the geometry does not
    fit into it.
    """
    try:
        batch, seq, vocab = frame["batch_size"], frame["seq_len"], frame["vocab_size"]
        memory = mmap.mmap(
            fd, frame["shm_bytes"], mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE
        )

        def view(dtype: torch.dtype, offset: int, *shape: int) -> torch.Tensor:
            count = 1
            for size in shape:
                count *= size
            return _frombuffer(memory, dtype=dtype, count=count, offset=offset).view(shape)

        return Blackboard(
            ids=view(torch.int32, frame["ids_offset"], batch, seq),
            targets=view(torch.int32, frame["targets_offset"], batch, seq),
            nats=view(torch.float64, frame["nats_offset"], batch, seq),
            logits=view(torch.float32, frame["logits_offset"], batch, seq, vocab),
        )
    except (KeyError, TypeError, ValueError, OSError, RuntimeError) as error:
        raise ProtocolError(f"attach: {type(error).__name__}: {error}") from None
    finally:
        os.close(fd)
