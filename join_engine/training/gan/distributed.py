# SPDX-License-Identifier: GPL-3.0-or-later
"""Data parallel training under ``torchrun``: who has which part of a batch, and how gradients come together.

Every process draws the random numbers of the whole batch and keeps its own part, so that the number of processes
does not change what is trained: the same total batch gives the same networks, up to the order of sums.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ...errors import JoinError


@dataclass(frozen=True)
class Group:
    """The processes that train together; one alone by default.

    Attributes:
        rank: number of this process.
        world: how many there are.
    """

    rank: int = 0
    world: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and messages."""
        return self.rank == 0

    def share(self, values: Tensor) -> Tensor:
        """[B, …] of the whole batch → [B / world, …] of this process.

        Every ``world``-th sample, not a run of them: the groups of the minibatch standard deviation, which are made of
        samples that lie B / 4 apart, then stay the same ones as long as each process has a multiple of 4.
        """
        return values if self.world == 1 else values[self.rank :: self.world]

    def mean(self, value: Tensor) -> Tensor:
        """Mean over the processes; all must call. The result has no gradient."""
        if self.world == 1:
            return value.detach()
        total = value.detach().clone()
        dist.all_reduce(total)
        return total / self.world

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its mean over the processes; all must call with the same parameters."""
        if self.world == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        # One message instead of a hundred.
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.world
        for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def any(self, flag: bool, device: torch.device | str = "cpu") -> bool:
        """Whether ``flag`` holds in any process; all must call."""
        if self.world == 1:
            return flag
        value = torch.tensor(float(flag), device=device)
        dist.all_reduce(value, op=dist.ReduceOp.MAX)
        return bool(value.item())


@contextmanager
def join_group(device: str) -> Iterator[tuple[Group, str]]:
    """The group that ``torchrun`` made, or one of this process alone, and the device of this process. Raises JoinError
    ``device_missing`` when there are fewer GPUs than processes. ``device``: "cpu" (the processes talk through gloo) or
    "cuda" (nccl, one GPU each)."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Group(), device
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if device.startswith("cuda"):
        if local >= torch.cuda.device_count():
            count = torch.cuda.device_count()
            message = f"torchrun started more processes than the {count} GPUs of this machine."
            raise JoinError("device_missing", message, f"Give --nproc-per-node={count}.")
        device = f"cuda:{local}"
        torch.cuda.set_device(local)
    store, rank, world = next(dist.rendezvous("env://"))
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo", store=store, rank=rank, world_size=world)
    try:
        yield Group(rank, world), device
        # Who leaves early closes connections on which the others may still be receiving.
        store.set(f"left-{rank}", "yes")
        with suppress(RuntimeError):  # one that failed does not come
            store.wait([f"left-{other}" for other in range(world)], timedelta(seconds=30))
    finally:
        dist.destroy_process_group()
