# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the generator of one component.

May be killed at any moment; the same command goes on from the last checkpoint. --data and the settings of the training
may differ then, the architecture may not. --start-from BANK begins a new training with the networks of a bank instead
of fresh weights. With several processes it is started by torchrun:

    torchrun --nproc-per-node=8 -m join_engine train-gan --data PACK.tar --component albedo …

--component albedo+shading trains a single GAN of both, the baseline of JoIN's section 5.4.
"""

from __future__ import annotations

import argparse
import signal
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import JoinError
from ..options import BAD_INPUT, positive
from ..training.options import add_settings, pick, told_of_fields

if TYPE_CHECKING:
    from ..training.gan.distributed import Group
    from ..training.gan.state import GanSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ..networks.stylegan2 import GeneratorConfig
    from ..training.gan.state import GanSettings
    from ..training.gan.train import Schedule

    parser.add_argument("--data", nargs="+", required=True, metavar="PACK.tar", help="packs of renders")
    parser.add_argument("--component", required=True, help="albedo, shading, …")
    parser.add_argument("--out", required=True, type=Path, help="folder of the run")
    parser.add_argument("--resume", default="auto", help="auto, never, or a checkpoint (default: auto)")
    parser.add_argument(
        "--start-from",
        metavar="BANK",
        help="name or path of a bank: a new run begins with its networks; architecture as there where not given",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda (default: auto)")
    parser.add_argument("--tensorboard", action="store_true", help="write TensorBoard's files into the folder, too")
    architecture = parser.add_argument_group("architecture")
    for field in fields(GeneratorConfig):
        if field.name not in ("resolution", "image_channels"):
            option = f"--{field.name.replace('_', '-')}"
            text = f"{told_of_fields(GeneratorConfig)[field.name]} (default: {field.default})"
            architecture.add_argument(option, type=positive, default=None, help=text)
    architecture.add_argument("--published", action="store_true", help="the sizes of StyleGAN2; for GPUs")
    add_settings(parser, Schedule())
    add_settings(parser, GanSettings(), but=["bf16"])
    on = "convolutions in bfloat16 (default: on GPUs, and CPUs that have it)"
    parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=None, help=on)


def run(options: argparse.Namespace) -> int:
    import torch

    from ..device import keep_freed_memory
    from ..images.files import folder_of_ones_own
    from ..training.gan.distributed import join_group

    torch.set_flush_denormal(True)
    keep_freed_memory()
    best = "cuda" if torch.cuda.is_available() else "cpu"
    problem: JoinError | None = None
    with join_group(best if options.device == "auto" else options.device) as (group, device):
        try:
            with folder_of_ones_own(options.out) if group.leads else nullcontext():
                _train(options, group, device)
        except JoinError as error:  # raised outside, where nobody waits for this process any more
            problem = error
    if problem is not None and group.leads:
        raise problem
    return 0 if problem is None else BAD_INPUT


def _train(options: argparse.Namespace, group: Group, device: str) -> None:
    import torch

    from ..renders.packs import read_packs
    from ..training.gan.monitor import Monitor
    from ..training.gan.train import Schedule, begin

    if device.startswith("cuda"):
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    data = read_packs(options.data, options.component)
    training = begin(
        options.out,
        data,
        architecture=architecture(options, data.resolution),
        settings=_settings(options, device),
        resume=options.resume,
        device=device,
        group=group,
        start_from=options.start_from,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, training.request_stop)
    monitor = Monitor(data.component, options.out, options.tensorboard) if group.leads else None
    if monitor is not None:
        shown = training.state.images
        print(f"{len(data.images)} images of {data.component}, {data.resolution}², from {shown} on", flush=True)
        if shown >= options.kimg * 1000:
            print(f"Nothing to train: {shown:,} images have been shown, --kimg asks for {options.kimg:g} thousand.")
    try:
        training.run(Schedule(**pick(options, Schedule)), monitor)
    finally:
        if monitor is not None:
            monitor.close()


def architecture(options: argparse.Namespace, resolution: int) -> dict[str, int]:
    """The chosen sizes: single options go before ``--published``, the bank to start from, or the defaults."""
    from ..networks.stylegan2 import GeneratorConfig

    given = {key: value for key, value in pick(options, GeneratorConfig).items() if value is not None}
    if options.published:
        return GeneratorConfig.published(resolution).to_dict() | given
    return given if options.start_from else GeneratorConfig().to_dict() | given


def _settings(options: argparse.Namespace, device: str) -> GanSettings:
    """Raises JoinError ``settings_invalid``."""
    from ..device import has_bf16
    from ..training.gan.state import GanSettings

    values = pick(options, GanSettings)
    if values["bf16"] is None:
        values["bf16"] = has_bf16(device)
    try:
        return GanSettings(**values)
    except ValueError as error:
        raise JoinError("settings_invalid", f"These settings are not possible: {error}.") from error
