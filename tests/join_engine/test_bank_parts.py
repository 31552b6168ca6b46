# SPDX-License-Identifier: GPL-3.0-or-later
"""Trunk, encoders, hash and card of a bank: round trip, one clear sentence for each defect, facts in the card."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, safe_open, save_file

from join_engine.bank import Bank, BankHeader, fingerprint, list_banks, load_bank, read_header, save_bank, verify_bank
from join_engine.bank.card import BEGIN, END, card, write_card
from join_engine.bank.file import HASH_KEY, HEADER_KEY
from join_engine.commands.main import main
from join_engine.errors import JoinError
from join_engine.networks.encoder import Encoder
from join_engine.networks.stylegan2 import Generator
from tests.join_engine.invented_renders import write_pack

Tensors = dict[str, torch.Tensor]
Values = dict[str, Any]
Change = Callable[[Tensors, Values], object]


def parts_of(bank: Bank) -> Any:
    """Networks, encoders, trunk and brightness network."""
    networks = {name: (part.generator, part.discriminator) for name, part in bank.components.items()}
    encoders = {name: part.encoder for name, part in bank.components.items()}
    return networks, encoders, bank.trunk, bank.brightness


def header_values(path: Path) -> Values:
    with safe_open(path, framework="pt") as file:
        return dict(json.loads(file.metadata()[HEADER_KEY]))


def test_round_trip(seeing_bank: Bank, tmp_path: Path) -> None:
    path = tmp_path / "again.safetensors"
    networks, encoders, trunk, brightness = parts_of(seeing_bank)
    save_bank(path, seeing_bank.header, networks, encoders, trunk=trunk, brightness=brightness)
    # What came out of a file goes into the same file: no weight is rounded twice.
    assert path.read_bytes() == seeing_bank.path.read_bytes()
    again = load_bank(path)
    assert again.header == seeing_bank.header == BankHeader.from_dict(json.loads(json.dumps(again.header.to_dict())))
    image = torch.rand(2, 3, 16, 16)
    assert again.trunk is not None and seeing_bank.trunk is not None
    assert all(torch.equal(a, b) for a, b in zip(again.trunk(image), seeing_bank.trunk(image), strict=True))
    assert again.brightness is not None and seeing_bank.brightness is not None and not again.brightness.training
    assert torch.equal(again.brightness(image), seeing_bank.brightness(image))
    for name, component in again.components.items():
        codes = component.encode(image)
        assert codes.shape == (2, 1, 16) and torch.equal(codes, seeing_bank.components[name].encode(image))
        assert component.encoder is not None and not component.encoder.training
        assert component.discriminator is None
    assert not any(parameter.requires_grad for parameter in again.trunk.parameters())
    # An encoder looks at what an image can show: values outside [0, 1] count as black and white.
    part = again.components["albedo"]
    assert torch.equal(part.encode(image * 3 - 1), part.encode((image * 3 - 1).clamp(0, 1)))


def test_a_bank_without_them_stays_what_it_was(tiny_bank: Bank) -> None:
    values = tiny_bank.header.to_dict()
    assert "trunk" not in values and "machine" not in values
    assert all("encoder" not in component for component in values["components"].values())
    assert tiny_bank.trunk is None and not tiny_bank.has_encoders


def rewrite(path: Path, source: Path, change: Change) -> None:
    tensors, values = load_file(source), header_values(source)
    change(tensors, values)
    save_file(tensors, path, metadata={HEADER_KEY: json.dumps(values)})


def spoil(name: str) -> Change:
    def change(tensors: Tensors, values: Values) -> None:
        tensors[name].flatten()[0] = float("nan")

    return change


def swap_encoders(tensors: Tensors, values: Values) -> None:
    for key in [key for key in tensors if key.startswith("albedo.encoder.")]:
        other = key.replace("albedo", "shading")
        tensors[key], tensors[other] = tensors[other], tensors[key]
    first, second = values["components"]["albedo"], values["components"]["shading"]
    first["encoder"], second["encoder"] = second["encoder"], first["encoder"]
    values.pop(HASH_KEY)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors, values: tensors.pop("trunk.stage1.0.weight"), "lacks 1 of its weights"),
        (lambda tensors, values: tensors.pop("albedo.encoder.stem.weight"), "'albedo.encoder.stem.weight'"),
        (lambda tensors, values: tensors.update({"extra": torch.zeros(2)}), "'extra' that its header does not"),
        (lambda tensors, values: values.pop("trunk"), "does not announce"),
        (lambda tensors, values: values.pop("brightness"), "'brightness.body.0.bias' that its header does not"),
        (lambda tensors, values: values["brightness"]["architecture"].update(dropout=1.0), "header that cannot be"),
        (spoil("brightness.head.3.bias"), "'brightness.head.3.bias' with values that are not numbers"),
        (lambda tensors, values: values["components"]["albedo"].pop("encoder"), "does not announce"),
        (
            lambda tensors, values: tensors.update({"trunk.stage0.0.bias": torch.zeros(5, dtype=torch.float16)}),
            "of the shape [5] instead of [4]",
        ),
        (
            lambda tensors, values: tensors.update({"trunk.stage0.0.bias": torch.zeros(4, dtype=torch.int64)}),
            "are not numbers",
        ),
        (spoil("trunk.stage0.0.weight"), "'trunk.stage0.0.weight' with values that are not numbers"),
        (spoil("shading.generator.mapping.fc0.weight"), "mapping.fc0.weight' with values that are not numbers"),
        (spoil("albedo.discriminator.b4.out.weight"), "are not numbers"),
        (lambda tensors, values: tensors["albedo.w_avg"].add_(0.01), "hash differs"),
        (lambda tensors, values: tensors["trunk.stage0.0.bias"].add_(1), "hash differs"),
        (lambda tensors, values: values.update({HASH_KEY: "0" * 64}), "hash differs"),
        (swap_encoders, "trained for another generator"),
        (lambda tensors, values: values["trunk"]["architecture"].update(widths=[4, 8]), "header that cannot be"),
        (
            lambda tensors, values: values["components"]["albedo"]["encoder"]["architecture"].update(w_dim=8),
            "header that cannot be",
        ),
        (lambda tensors, values: values["components"]["albedo"]["encoder"].pop("generator"), "header that cannot be"),
    ],
)
def test_defects_get_one_clear_sentence(seeing_bank: Bank, tmp_path: Path, change: Change, words: str) -> None:
    path = tmp_path / "bad.safetensors"
    rewrite(path, seeing_bank.path, change)
    with pytest.raises(JoinError) as caught:
        load_bank(path)
    message = caught.value.message
    assert caught.value.code == "bank_broken" and path.name in message and words in message
    assert message.count(". ") == 0 and message.endswith(".") and "\n" not in message


def test_one_flipped_bit_is_noticed(seeing_bank: Bank, tmp_path: Path) -> None:
    path = tmp_path / "flipped.safetensors"
    data = bytearray(seeing_bank.path.read_bytes())
    data[-101] ^= 1
    path.write_bytes(data)
    with pytest.raises(JoinError) as caught:
        load_bank(path)
    assert caught.value.code == "bank_broken"


def test_a_file_without_a_hash_is_an_early_one(seeing_bank: Bank, tmp_path: Path) -> None:
    path = tmp_path / "early.safetensors"
    rewrite(path, seeing_bank.path, lambda tensors, values: values.pop(HASH_KEY))
    assert load_bank(path).header == read_header(path)


def test_weights_that_are_no_numbers_are_not_written(seeing_bank: Bank, tmp_path: Path) -> None:
    networks, encoders, trunk, brightness = parts_of(load_bank(seeing_bank.path, with_discriminators=True))
    # Too large for half precision is as bad as NaN.
    trunk.stage0[0].weight[0, 0, 0, 0] = 1e6
    with pytest.raises(JoinError) as caught:
        save_bank(
            tmp_path / "x.safetensors", seeing_bank.header, networks, encoders, trunk=trunk, brightness=brightness
        )
    assert caught.value.code == "weights_not_finite" and "trunk.stage0.0.weight" in caught.value.message
    assert not list(tmp_path.iterdir())


def test_header_and_parts_must_agree(seeing_bank: Bank, tmp_path: Path) -> None:
    networks, encoders, trunk, brightness = parts_of(seeing_bank)
    header, out = seeing_bank.header, tmp_path / "x"
    other_encoder = encoders | {"albedo": Encoder(encoders["albedo"].config)}
    for encoding, wide in (({}, trunk), (encoders, None), (other_encoder, None)):
        with pytest.raises(ValueError):
            save_bank(out, header, networks, encoding, trunk=wide, brightness=brightness)
    with pytest.raises(ValueError, match="describe the brightness"):
        save_bank(out, header, networks, encoders, trunk=trunk)
    other = Generator(header.components["albedo"].architecture)
    with pytest.raises(ValueError, match="another generator"):
        others = networks | {"albedo": (other, networks["albedo"][1])}
        save_bank(out, header, others, encoders, trunk=trunk, brightness=brightness)
    with pytest.raises(ValueError, match="does not fit"):
        encoder = header.components["albedo"].encoder
        assert encoder is not None
        small = replace(encoder, architecture=replace(encoder.architecture, w_dim=8))
        replace(header.components["albedo"], encoder=small)
    with pytest.raises(ValueError, match="can be called"):
        replace(header, components={"trunk": header.components["albedo"]})
    with pytest.raises(ValueError, match="can be called"):
        replace(header, components={"brightness": header.components["albedo"]})


def test_a_fingerprint_is_of_the_weights_as_stored(seeing_bank: Bank) -> None:
    generator = load_bank(seeing_bank.path).components["albedo"].generator
    mine = fingerprint(generator)
    assert mine == fingerprint(seeing_bank.components["albedo"].generator)
    weight = generator.synthesis.get_submodule("b4.conv1").weight
    assert isinstance(weight, torch.Tensor)
    weight.add_(weight * 1e-5)  # less than half precision holds
    assert fingerprint(generator) == mine
    weight.mul_(1.01)
    assert fingerprint(generator) != mine


@pytest.mark.slow
def test_verifying_lets_every_network_work(
    seeing_bank: Bank, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verify_bank(seeing_bank)
    assert main(["banks", "verify", str(seeing_bank.path)]) == 0

    def constant(tensors: Tensors, values: Values) -> None:
        for key in tensors:
            if "albedo" in key and "affine.weight" in key:
                tensors[key].zero_()
        values.pop(HASH_KEY)
        values["components"]["albedo"].pop("encoder")
        for key in [key for key in tensors if key.startswith("albedo.encoder.")]:
            tensors.pop(key)

    bad = tmp_path / "bad.safetensors"
    rewrite(bad, seeing_bank.path, constant)
    assert main(["banks", "verify", str(bad)]) == 2
    assert "makes one image only" in capsys.readouterr().err
    # Each weight is finite, but not what they make together.
    huge = load_bank(seeing_bank.path)
    for parameter in huge.trunk.parameters():  # type: ignore[union-attr]
        parameter.fill_(1e20)
    with pytest.raises(JoinError, match="not numbers"):
        verify_bank(huge)
    infinite = load_bank(seeing_bank.path)
    for parameter in infinite.brightness.parameters():  # type: ignore[union-attr]
        parameter.fill_(1e20)
    with pytest.raises(JoinError, match="brightness network"):
        verify_bank(infinite)


# The card


def told(header: BankHeader) -> BankHeader:
    """With a history, as training writes it."""
    stretch = {
        "from_images": 0,
        "to_images": 5000,
        "packs": [{"file": "train.tar", "dataset": "x", "split": "train", "count": 321}],
        "settings": {"batch": 8, "flip": True, "r1_gamma": None},
        "device": "cpu",
        "threads": 2,
        "torch": "2.13.0",
    }
    training = {"images_shown": 5000, "steps": 625, "seconds": 100, "stretches": [stretch]}
    components = {}
    for name, component in header.components.items():
        assert component.encoder is not None
        encoder = replace(component.encoder, training=training | {"scores": {"mse": 0.0125, "samples": 100.0}})
        components[name] = replace(component, training=training, encoder=encoder)
    return replace(header, components=components, scores={"encoder": {"albedo": {"psnr": 17.5}}}, machine="two cores")


def test_the_card_tells_what_the_header_knows(seeing_bank: Bank) -> None:
    text = card(told(seeing_bank.header), 1_234_567)
    for words in (
        "# The bank `seeing`",
        "1.2 MB",
        "CC0-1.0",
        "Machine: two cores.",
        "| generator of albedo | 321 | 5,000 | 625 | 0.03 h | 50 |",
        "| encoder of shading | 321 |",
        "| perceptual trunk | | | | not told |",
        "| brightness network | | | | not told |",
        "<details>\n<summary>The command of the training</summary>",
        "--data train.tar --kimg 5",
        "--batch 8 --flip",
        "| mse | 0.0125 |",
        "All trainings one after the other: 0.11 hours (generators 0.06, encoders 0.06, trunk 0.00, brightness 0.00)",
        "How good they are is not measured",
        "| albedo | 5 thousand | 16 | 50 thousand, 156 passes |",
        "1.1 hours, would be spent on showing more images",
        "| encoder · albedo · psnr | 17.5 |",
    ):
        assert words in text, words
    assert "r1-gamma" not in text


def test_the_card_tells_what_encoders_find_alone(seeing_bank: Bank) -> None:
    found = {"psnr": 17.5, "psnr_interval": [17.0, 18.0], "mse": 0.0178}
    scores = {
        "samples": 100,
        "encoder": {"albedo": found},
        "mean code": {"albedo": found | {"psnr": 12.25}},
        "encoders": {"milliseconds": 20.4, "fastest": 17.2, "threads": 2, "repeats": 20},
    }
    text = card(replace(told(seeing_bank.header), scores=scores), 1)
    assert "On 100 samples, without any optimisation" in text
    assert "| albedo | 0.0178 | 17.50 [17.00, 18.00] | 12.25 |" in text
    assert "All encoders together: 20 ms for one image (median of 20; the fastest 17), on 2 thread(s)." in text
    assert "| mean code | albedo | 12.25 [17.00, 18.00] | 0.0178 |" in text and "| samples | 100 |" in text


def test_a_discriminator_that_would_see_the_same_renders_too_often_asks_for_more(seeing_bank: Bank) -> None:
    header = told(seeing_bank.header)
    shading = header.components["shading"]
    seen = replace(shading, training={**shading.training, "images_shown": 50_000})
    text = card(replace(header, components={**header.components, "shading": seen}), 1)
    assert "first on more renders for shading, then on showing more images" in text
    # What was shown of other renders, such as by a bank that the training began from, is not counted as theirs.
    last = {**seen.training["stretches"][0], "packs": [{"file": "new.tar", "count": 1000}]}
    last |= {"from_images": 5000, "to_images": 50_000}
    seen = replace(seen, training={**seen.training, "stretches": [*seen.training["stretches"], last]})
    text = card(replace(header, components={**header.components, "shading": seen}), 1)
    assert "| shading | 50 thousand | 45 | 500 thousand, 500 passes |" in text


def test_the_card_names_generators_of_others(seeing_bank: Bank) -> None:
    assert "no other model went into it" in card(told(seeing_bank.header), 1)
    components = dict(told(seeing_bank.header).components)
    components["shading"] = replace(components["shading"], training={"imported_from": "a.pkl", "format": "nvlabs"})
    first = {**components["albedo"].training["stretches"][0], "start_from": {"file": "x", "imported_from": "b.pt"}}
    training = {**components["albedo"].training, "stretches": [first]}
    components["albedo"] = replace(components["albedo"], training=training)
    text = card(replace(seeing_bank.header, components=components), 1)
    assert "Generators of others are in it: a.pkl, b.pt." in text and "no other model" not in text


def test_a_bank_without_a_history_promises_nothing(tiny_bank: Bank) -> None:
    text = card(tiny_bank.header, 1)
    assert "Ten times" not in text and "Encoders alone" not in text


def test_hand_written_text_around_the_facts_stays(
    seeing_bank: Bank, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "card.md"
    write_card(path, seeing_bank.header, 10)
    first = path.read_text(encoding="utf-8")
    path.write_text(f"Grüße davor.\n\n{first}\nUnd danach.\n", encoding="utf-8")
    assert main(["banks", "card", str(seeing_bank.path), "--out", str(path)]) == 0
    text = path.read_text(encoding="utf-8")
    assert text.startswith("Grüße davor.\n") and text.endswith("\nUnd danach.\n")
    assert text.count(BEGIN) == text.count(END) == 1 and "`seeing`" in text and "0.0 MB" not in text.split(END)[1]
    assert main(["banks", "card", str(seeing_bank.path), "--out", str(path)]) == 0
    assert path.read_text(encoding="utf-8") == text
    path.write_text("All by hand.", encoding="utf-8")
    assert main(["banks", "card", str(seeing_bank.path), "--out", str(path)]) == 2
    assert path.read_text(encoding="utf-8") == "All by hand." and "no markers" in capsys.readouterr().err


def test_shipped_banks_are_small_and_free_and_their_cards_have_markers() -> None:
    assert list_banks()
    for shipped in list_banks():
        assert shipped.stat().st_size <= 95e6 and read_header(shipped).license == "CC0-1.0"
        text = shipped.with_suffix(".md").read_text(encoding="utf-8")
        assert BEGIN in text and END in text
        assert text.startswith("> ") and len(text.splitlines()[0]) < 120, "Blender's list shows the first line"
        picture = shipped.with_suffix(".jpg")
        assert picture.stat().st_size < 10e3 and len(set(Image.open(picture).size)) == 1


def test_a_banks_picture_is_four_renders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    greys = torch.linspace(-1.0, 1.0, 5).reshape(5, 1, 1, 1).expand(5, 3, 32, 32)
    pack, out = write_pack(tmp_path / "pack.tar", {"image": greys}, 0), tmp_path / "bank.jpg"
    command = ["banks", "picture", "--data", str(pack), "--out", str(out), "--chosen"]
    assert main([*command, "4", "0", "1", "2"]) == 0
    drawn = np.asarray(Image.open(out).convert("L"), np.float32)
    assert drawn.shape == (70, 70)
    corners = [drawn[top : top + 20, left : left + 20].mean() for top in (8, 42) for left in (8, 42)]
    np.testing.assert_allclose(corners, [255, 0, 64, 128], atol=3)
    assert main([*command, "0", "1", "2", "5"]) == 2
    assert "Choose smaller numbers" in capsys.readouterr().err
