# SPDX-License-Identifier: GPL-3.0-or-later
"""Inside a worker process: render the shards that arrive on stdin and say on stdout what happens.

One JSON object a line. In: the job first, then one shard after another ``{"first", "count", "skip", "careful"}``; end
of file ends the worker at once, so that a supervisor that dies leaves nothing behind. Out: ``ready`` (blender, device),
``begin`` and ``sample`` of each index, ``shard`` when one is finished, ``failed`` when a sample cannot be made,
``error`` when nothing can go on (a sentence for the user).
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

from dataset_tools.errors import SampleError, UserError
from dataset_tools.rendering.job import Job
from dataset_tools.requirements import refusal
from dataset_tools.storage import shards
from dataset_tools.storage.shards import Sample, Shard
from dataset_tools.workers.resources import resident_bytes, start_blender

Send = Callable[..., None]

# What the supervisor starts a worker with; no command for people.
COMMAND = "worker"


def run() -> int:
    """Serve until stdin ends; returns the exit status."""
    # Ctrl-C reaches the whole group; the supervisor decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    send = _take_stdout()
    orders: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin, orders), daemon=True).start()
    try:
        _serve(Job.from_json(orders.get()), orders, send)
    except SampleError as error:
        send("failed", reason=str(error))
    except UserError as error:
        send("error", message=str(error))
    except Exception as error:
        traceback.print_exc()
        send("failed", reason=f"{type(error).__name__}: {error}")
    return 1


def _take_stdout() -> Send:
    """Keep stdout for messages alone: whatever else writes to it, Blender's C code included, goes to stderr."""
    sys.stdout.flush()
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def send(event: str, **fields: Any) -> None:
        channel.write(json.dumps({"event": event, **fields}) + "\n")
        channel.flush()

    return send


def _read(stream: IO[str], orders: queue.SimpleQueue[dict[str, Any]]) -> None:
    for line in stream:
        orders.put(json.loads(line))
    # Not sys.exit: the main thread may be inside a render that nobody waits for. The supervisor removes what is left.
    os._exit(0)


def _serve(job: Job, orders: queue.SimpleQueue[dict[str, Any]], send: Send) -> None:
    reason = refusal(start_blender())
    if reason:
        raise UserError(reason)
    from dataset_tools.rendering import device

    job = job.on(device.choose(job.device))
    from dataset_tools.rendering.produce import Producer
    from dataset_tools.rendering.render import blender_version

    _check_textures(job)
    producer = Producer(job)
    send("ready", blender=blender_version(), device=job.device, name=device.name(job.device), pid=os.getpid())
    while True:
        order = orders.get()
        shard = Shard(job.dataset, order["first"], order["count"])
        samples = _samples(producer, order, send)
        size = shards.write_shard(job.out, shard, samples)
        send("shard", first=shard.first, count=shard.count, bytes=size)


def _check_textures(job: Job) -> None:
    """Once, by the worker that a new dataset begins with: a folder that is there was begun with the same textures."""
    if not (job.out / "dataset.json").exists():
        from dataset_tools.rendering import textures

        textures.check(job, job.sources())


def _samples(producer: Any, order: Mapping[str, Any], send: Send) -> Iterator[Sample]:
    """The samples of an order, announced when they begin and when they are done."""

    def announced() -> Iterator[int]:
        for index in range(order["first"], order["first"] + order["count"]):
            if index not in order["skip"]:
                send("begin", index=index)
                yield index

    # Samples overlap, which blurs the blame; after a failure they come one by one.
    found = (producer.sample(index) for index in announced()) if order["careful"] else producer.samples(announced())
    for sample in found:
        yield sample
        seconds = {name: value for name, value in sample.notes.items() if name.endswith("seconds")}
        send("sample", index=sample.index, **seconds, resident=resident_bytes())
