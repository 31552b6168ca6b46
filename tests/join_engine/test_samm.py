# SPDX-License-Identifier: GPL-3.0-or-later
"""SAMM as a network: the module that aligns and masks, its training, and the method."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from join_engine.bank import Bank, fingerprint, load_bank, verify_bank
from join_engine.bank.bank_wide import SammHeader
from join_engine.commands.main import main
from join_engine.errors import JoinError
from join_engine.evaluation.methods.by_name import Rows, make_methods
from join_engine.inversion.invert import invert
from join_engine.inversion.losses.perceptual import gram_matrices, style_loss
from join_engine.inversion.progress import Monitor
from join_engine.inversion.stages.samm import Samm as SammStage
from join_engine.inversion.state import InversionState
from join_engine.networks.encoder import Encoder, EncoderConfig
from join_engine.networks.features import RandomFeatures
from join_engine.networks.residuals import Residual
from join_engine.networks.samm import REACH, Samm, SammConfig
from join_engine.networks.stylegan2 import generate
from join_engine.renders.compose import ComponentSets
from join_engine.renders.draws import draws
from join_engine.renders.foreign import with_foreign
from join_engine.renders.packs import ImageSet
from join_engine.training.samm import SammLearner, SammSettings

from .conftest import check_resumes, make_bank, stored
from .fake_packs import write_pack

WIDTHS = (6, 6, 4)


def config_for(bank: Bank) -> SammConfig:
    generators = {name: part.generator.config for name, part in bank.components.items()}
    encoders = {name: part.encoder.config for name, part in bank.components.items() if part.encoder is not None}
    return SammConfig.of(generators, encoders, WIDTHS)


@pytest.fixture(scope="module")
def samm_bank(seeing_bank: Bank, tmp_path_factory: pytest.TempPathFactory) -> Bank:
    """The bank with encoders and an alignment module whose flows are large, from its file."""
    torch.manual_seed(0)
    network = Samm(config_for(seeing_bank))
    for module in network.modules_at.values():
        torch.nn.init.normal_(module.skip.weight, std=0.5)
    generators = {name: fingerprint(part.generator) for name, part in seeing_bank.components.items()}
    encoders = {name: fingerprint(part.encoder) for name, part in seeing_bank.components.items() if part.encoder}
    header = replace(seeing_bank.header, name="samm", samm=SammHeader(network.config, {}, generators, encoders))
    return stored(seeing_bank, tmp_path_factory.mktemp("banks") / "samm.safetensors", header, samm=network)


def test_its_architecture_is_that_of_the_generators_and_encoders(seeing_bank: Bank) -> None:
    config = config_for(seeing_bank)
    assert config.sides == (4, 8, 16) and config.seen == (12, 8, 3)  # two encoders of widths 4, 6, … and the picture
    widths = seeing_bank.components["albedo"].generator.config.width
    assert config.made == tuple(2 * widths(side) for side in config.sides)
    assert SammConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    for wrong in ({"seen": (1,)}, {"widths": (0, 1, 1)}, {"components": ()}, {"components": ("albedo", "albedo")}):
        with pytest.raises(ValueError):
            replace(config, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="does not fit"):
        generators = {name: part.generator.config for name, part in seeing_bank.components.items()}
        replace(config, made=(9, 9, 9)).check_fits(generators)


def test_without_sides_it_changes_no_bit_of_what_the_generators_make(samm_bank: Bank, own_targets: Tensor) -> None:
    state = begun(samm_bank, own_targets)
    found = aligned(samm_bank, state, sides=())
    assert not found.flows and not found.masks
    for name, part in samm_bank.components.items():
        assert torch.equal(found.outputs[name], generate(part.generator, state.latents[name]))


def begun(bank: Bank, targets: Tensor) -> InversionState:
    state = InversionState.begin(bank, targets.clamp(0.0, 1.0))
    state.latents = {name: part.encode(state.target) for name, part in bank.components.items()}
    return state


@torch.no_grad()
def aligned(bank: Bank, state: InversionState, **changes: object):  # type: ignore[no-untyped-def]
    assert bank.samm is not None
    encoders = {name: part.encoder for name, part in bank.components.items() if part.encoder is not None}
    generators = {name: part.generator for name, part in bank.components.items()}
    return bank.samm(bank.samm.seen(state.target, encoders), generators, state.latents, **changes)


def test_what_it_aligns_side_by_side_is_what_the_flows_make_one_by_one(samm_bank: Bank, own_targets: Tensor) -> None:
    """Residual features of a seeing encoder stay behind the flow."""
    state = begun(samm_bank, own_targets)
    channels = samm_bank.components["albedo"].generator.config.width(8)
    state.residuals["albedo"] = {8: Residual(torch.randn(3, channels, 8, 8), torch.ones(3, 1, 8, 8))}
    found = aligned(samm_bank, state, hooks=state.residuals)
    still = state.synthesize()
    state.flows = found.flows
    moved = state.synthesize()
    for name in still:
        torch.testing.assert_close(found.outputs[name], moved[name], atol=1e-4, rtol=1e-4)
        assert not torch.allclose(still[name], moved[name], atol=1e-3)
    for side, flow in found.flows.items():
        assert flow.shape == (3, 2, side, side) and float(flow.abs().max()) <= REACH
        assert 0.0 <= float(found.masks[side].min()) <= float(found.masks[side].max()) <= 1.0


def test_a_stage_tells_flows_and_masks(samm_bank: Bank, own_targets: Tensor) -> None:
    states = {}
    for name, stage in {
        "both": SammStage(),
        "still": SammStage(aligned=False),
        "bare": SammStage(masked=False),
    }.items():
        states[name] = begun(samm_bank, own_targets)
        stage.run(states[name], Monitor())
    assert set(states["both"].flows) == set(states["both"].masks) == {4, 8, 16}
    assert not states["still"].flows and torch.equal(states["still"].masks[8], states["both"].masks[8])
    assert not states["bare"].masks and torch.equal(states["bare"].flows[8], states["both"].flows[8])
    told = begun(samm_bank, own_targets)
    SammStage(residual=1e-6).run(told, Monitor())
    assert list(told.masks) == [16] and bool(told.masks[16].all())


def test_a_bank_without_it_says_so(seeing_bank: Bank, samm_bank: Bank, own_targets: Tensor) -> None:
    rows = Rows(loss="lpips", steps=2)
    keys = ["samm", "samm-search", "samm-search-residual"]
    assert {method.lacks for method in make_methods(keys, rows, seeing_bank)} == {"the bank has no alignment module"}
    with pytest.raises(JoinError) as caught:
        SammStage().run(begun(seeing_bank, own_targets), Monitor())
    assert caught.value.code == "samm_missing"
    methods = make_methods(keys, rows, samm_bank)
    assert len({method.identity for method in methods}) == 3
    for method in methods:
        assert method.preset is not None and not method.lacks
        found = invert(samm_bank, own_targets, method.preset)
        assert found.masks and found.flows


def test_other_encoders_are_refused(samm_bank: Bank) -> None:
    assert SammStage().lacks(samm_bank) == ""
    albedo = samm_bank.components["albedo"]
    assert albedo.encoder is not None
    other = Encoder(albedo.encoder.config)
    for encoder, word in ((other, "other encoders"), (None, "no encoders")):
        parts = {**samm_bank.components, "albedo": replace(albedo, encoder=encoder)}
        assert word in SammStage().lacks(replace(samm_bank, components=parts))


def test_foreign_patches_are_where_they_are_said_to_be() -> None:
    photos = torch.rand(40, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    changed, where = with_foreign(photos, draws(0), share=1.0)
    assert set(where.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(changed * (1.0 - where), photos * (1.0 - where))
    differ = ((changed - photos).abs().sum(dim=1, keepdim=True) > 0).to(where)
    assert float((differ * where).sum() / where.sum()) > 0.98
    share = where.mean(dim=(1, 2, 3))
    assert float(share.min()) > 0.005 and float(share.max()) < 0.5
    assert torch.equal(changed, with_foreign(photos, draws(0), share=1.0)[0])
    assert torch.equal(with_foreign(photos, draws(0), share=0.0)[0], photos)


def test_gram_matrices_know_what_there_is_and_not_where() -> None:
    features = torch.randn(2, 5, 4, 4, generator=torch.Generator().manual_seed(0))
    shuffled = features.flatten(2)[..., torch.randperm(16)].view_as(features)
    (gram,), (same,) = gram_matrices([features]), gram_matrices([shuffled])
    torch.testing.assert_close(gram, same)
    assert gram.shape == (2, 5, 5)
    torch.testing.assert_close(gram[0, 1, 2], (features[0, 1] * features[0, 2]).mean() / 5)


@pytest.mark.slow
def test_the_style_of_a_picture_is_searched_for_where_it_counts(seeing_bank: Bank, own_targets: Tensor) -> None:
    """The row with Gram matrices ends nearer in them than the one without."""
    rows = Rows(loss="lpips", steps=12, features="random")
    features, found = RandomFeatures(), {}
    for method in make_methods(["hybrid-w+", "hybrid-w+-gram"], rows, seeing_bank):
        assert method.preset is not None
        stage = replace(method.preset.stages[1], pixel_weight=0.0, feature_weight=0.0)  # type: ignore[call-arg]
        state = invert(seeing_bank, own_targets, replace(method.preset, stages=(method.preset.stages[0], stage)))
        with torch.no_grad():
            image = state.render(state.synthesize())
        found[method.key] = float(style_loss(features(image), features(own_targets)).mean())
    assert found["hybrid-w+-gram"] < 0.7 * found["hybrid-w+"], found


@pytest.mark.slow
def test_it_learns_where_patches_are_and_to_align(data: ComponentSets, seeing_bank: Bank) -> None:
    settings = SammSettings(batch=8, lr=1e-2, told=1.0, adversarial=0.0)
    learner = SammLearner(seeing_bank, config_for(seeing_bank), settings, 1.6)
    before = learner.validate(data)
    for _ in range(150):
        learner.step(data)
    after = learner.validate(data)
    assert after["overlap"] > before["overlap"] + 0.1, (before, after)


@pytest.mark.slow
def test_its_losses_count(data: ComponentSets, seeing_bank: Bank) -> None:
    """Each weight changes the loss, and the modules of finer resolutions set in later."""
    plain = SammSettings(batch=4, told=1.0)

    def loss(**changes: float) -> float:
        learner = SammLearner(seeing_bank, config_for(seeing_bank), replace(plain, **changes), 1.0)  # type: ignore[arg-type]
        learner.images = 900
        return float(learner.loss(data)[0].detach())

    reference = loss()
    for name in ("pixel", "feature", "style", "adversarial", "area", "binary", "smooth", "told"):
        value = getattr(plain, name)
        changed = loss(**{name: 2.0 * value}) if name != "area" else loss(area=50.0, coarse=0.0, fine=0.0)
        assert changed != reference, name
    learner = SammLearner(seeing_bank, config_for(seeing_bank), plain, 1.0)
    learner.loss(data)[0].backward()
    grown = {side: module.skip.weight.grad is not None for side, module in learner.network.modules_at.items()}
    assert grown == {"4": True, "8": False, "16": False}
    bare = replace(
        seeing_bank,
        components={name: replace(part, discriminator=None) for name, part in seeing_bank.components.items()},
    )
    with pytest.raises(JoinError) as caught:
        SammLearner(bare, config_for(bare), plain, 1.0)
    assert caught.value.code == "discriminator_missing"


@pytest.mark.slow
def test_of_a_bank_of_one_generator(data: ComponentSets, tmp_path: Path) -> None:
    """Whose pictures are the images themselves: blended with the target where α is 1."""
    bank = load_bank(make_bank(tmp_path / "image.safetensors", "image", [("image", "srgb")]), with_discriminators=True)
    part = bank.components["image"]
    shape = EncoderConfig(16, part.generator.config.w_dim, part.generator.config.num_ws, "w", (4, 6, 8, 8), (1,) * 4, 8)
    bank = replace(bank, components={"image": replace(part, encoder=Encoder(shape).eval())})
    pictures = ImageSet("image", "srgb", data.sets["albedo"].images, data.packs)
    learner = SammLearner(bank, config_for(bank), SammSettings(batch=4, told=1.0), 0.04)
    before = learner.validate(ComponentSets(bank.forward_model, {"image": pictures}))
    for _ in range(3):
        learner.step(ComponentSets(bank.forward_model, {"image": pictures}))
    for module in learner.average.modules_at.values():
        torch.nn.init.constant_(module.conv3.bias, 60.0)  # type: ignore[arg-type]
    masked = learner.validate(ComponentSets(bank.forward_model, {"image": pictures}))
    assert masked["blended"] > 30.0 > before["blended"] and masked["area"] == 1.0


@pytest.mark.slow
def test_resume_equals_no_interruption(tmp_path: Path, data: ComponentSets, seeing_bank: Bank) -> None:
    config, settings = config_for(seeing_bank), SammSettings(batch=2)
    check_resumes(lambda: SammLearner(seeing_bank, config, settings, 0.01), data, tmp_path)


@pytest.mark.slow
def test_from_the_command_to_a_bank(
    tmp_path: Path,
    packs: tuple[Path, Path],
    seeing_bank: Bank,
    tiny_bank: Bank,
    quiet: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, out = tmp_path / "run", tmp_path / "bank.safetensors"
    command = ["train-samm", "--data", str(packs[0]), "--validation", str(packs[1]), "--out", str(run)]
    command += ["--batch", "8", "--device", "cpu", "--threads", "1", "--kimg", "0.016", "--widths", "6", "6", "4"]
    assert main([*command, "--bank", str(tiny_bank.path)]) == 2
    assert "has no encoders" in capsys.readouterr().err
    assert main([*command, "--bank", str(seeing_bank.path)]) == 0
    assert main(["make-bank", "--bank", str(seeing_bank.path), "--samm", str(run), "--out", str(out)]) == 0
    bank = load_bank(out)
    verify_bank(bank)
    assert bank.samm is not None and bank.header.samm is not None and SammStage().lacks(bank) == ""
    assert 0.0 <= bank.header.samm.training["scores"]["overlap"] <= 1.0
    card = out.with_suffix(".md").read_text()
    assert "Alignment module" in card and "train-samm --bank BANK" in card and "--widths 6 6 4" in card


@pytest.mark.slow
def test_its_masks_are_scored_from_several_starts(samm_bank: Bank, tmp_path: Path) -> None:
    command = ["mask-scores", "--bank", str(samm_bank.path), "--data", str(write_pack(tmp_path / "pack.tar", 4))]
    command += ["--count", "2", "--steps", "2", "--device", "cpu", "--threads", "1", "--out", str(tmp_path / "scores")]
    assert main([*command, "--searches", "network", "network from the mean codes", "network after a search"]) == 0
    scores = json.loads((tmp_path / "scores" / "masks.json").read_text())["patches"]["blocks"]["searches"]
    around = [found["around"]["mean"] for found in scores.values()]
    assert len(scores) == len(set(around)) == 3
