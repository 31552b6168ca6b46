# SPDX-License-Identifier: GPL-3.0-or-later
"""From a photo to FFHQ's crop of a face and back, the finder of faces, and portraits of two banks."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from join_engine import face_finder, portraits
from join_engine.bank import Bank, SplitHeader, find_bank, list_banks, load_bank, save_bank
from join_engine.color import srgb_encode
from join_engine.commands.main import main
from join_engine.errors import Discarded, JoinError
from join_engine.face_crop import FaceCrop, crop_of_box, crop_of_points, ffhq_crop
from join_engine.face_finder import find_faces, the_face
from join_engine.images.face_frame import FaceFrame
from join_engine.images.files import read_picture
from join_engine.images.frame import Frame
from join_engine.inversion.codebook import CodeBook
from join_engine.inversion.presets import Preset, get_preset
from join_engine.inversion.progress import Monitor
from join_engine.inversion.stages.tuning import Tuning
from join_engine.layers.caution import FACES_RETINEX_ERROR, RETINEX_ERROR
from join_engine.layers.decomposition import load_decomposition, save_decomposition
from join_engine.networks.mtcnn import Mtcnn
from join_engine.networks.split import Split, SplitConfig
from join_engine.networks.stylegan2 import generate
from join_engine.pipeline import Outcome, decompose
from join_engine.relighting.relighter import Edit, Relighter
from join_engine.server.requests import check
from tests.join_engine.conftest import MakeBank

ROOT = Path(__file__).resolve().parents[2]
RNG = np.random.default_rng(7)
needs_finder = pytest.mark.skipif(not face_finder.is_installed(), reason="needs the package facenet-pytorch")


def some_crops(count: int, height: int, width: int) -> list[FaceCrop]:
    """Faces of any size, turned up to a right angle, in a photo."""
    found = []
    for _ in range(count):
        angle, half = RNG.uniform(-1.5, 1.5), RNG.uniform(24.0, 0.4 * min(height, width))
        center = (RNG.uniform(0.3, 0.7) * width, RNG.uniform(0.3, 0.7) * height)
        found.append(FaceCrop(center, (half * math.cos(angle), half * math.sin(angle))))
    return found


def smooth_photo(height: int, width: int) -> np.ndarray:
    """Nothing in it is finer than 40 pixels."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 37.0 + y / 51.0), np.cos(x / 43.0 - y / 61.0), np.sin((x + y) / 53.0)]
    return np.stack([0.5 + 0.4 * wave for wave in waves], axis=-1).astype(np.float32)


# The crop


def test_the_crop_turns_shifts_and_grows_with_the_face() -> None:
    marks = np.array([(30.0, 40.0), (70.0, 42.0), (38.0, 80.0), (64.0, 81.0)])
    plain = ffhq_crop(*map(tuple, marks))
    for angle, scale, shift in ((0.4, 1.7, (3.0, -5.0)), (-2.0, 0.5, (0.0, 9.0)), (math.pi, 1.0, (1.0, 1.0))):
        turn = scale * np.array([(math.cos(angle), -math.sin(angle)), (math.sin(angle), math.cos(angle))])
        moved = ffhq_crop(*map(tuple, marks @ turn.T + shift))
        assert moved.center == pytest.approx(tuple(turn @ plain.center + shift))
        assert moved.right == pytest.approx(tuple(turn @ plain.right))
        assert np.array(moved.corners) == pytest.approx(np.array(plain.corners) @ turn.T + shift)


def test_three_points_are_enough_and_their_order_is_free() -> None:
    left, right, mouth = (30.0, 40.0), (70.0, 42.0), (51.0, 80.5)
    found = crop_of_points(left, right, mouth)
    assert crop_of_points(right, left, mouth) == found
    assert found == ffhq_crop(left, right, (38.0, 80.0), (64.0, 81.0))  # whose middle it is
    upside_down = crop_of_points((-30.0, -40.0), (-70.0, -42.0), (-51.0, -80.5))
    assert upside_down.center == pytest.approx((-found.center[0], -found.center[1]))
    assert upside_down.right == pytest.approx((-found.right[0], -found.right[1]))
    assert crop_of_box(10.0, 20.0, 50.0, 40.0) == FaceCrop((30.0, 30.0), (20.0, 0.0))


@pytest.mark.parametrize("points", [[(1.0, 1.0)] * 3, [(math.nan, 0.0), (1.0, 0.0), (0.0, 1.0)], [(1e308, 0)] * 3])
def test_no_crop_without_a_face(points: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match=r"direction|place"):
        crop_of_points(*points)
    with pytest.raises(ValueError, match="empty"):
        crop_of_box(1.0, 1.0, 1.0, 5.0)


def test_a_crop_survives_json() -> None:
    for crop in some_crops(5, 200, 300):
        assert FaceCrop.from_json(json.loads(json.dumps(crop.to_json()))) == crop
        assert crop.moved(3.0, -2.0).moved(-3.0, 2.0).center == pytest.approx(crop.center)


# There and back


def test_there_and_back_is_the_identity_but_for_what_the_square_is_too_small_for() -> None:
    photo = smooth_photo(240, 320)
    for crop in some_crops(8, 240, 320):
        frame = FaceFrame(240, 320, 64, crop)
        square = frame.fit(photo)
        back = frame.restore(square)[0].permute(1, 2, 0).numpy()
        inside = _inside(frame, 0.8)
        assert np.abs(back - photo)[inside].max() < 0.01
        # And again from there.
        again = frame.fit(back)
        assert float((again - square).abs()[..., 8:-8, 8:-8].max()) < 0.01


def _inside(frame: FaceFrame, reach: float) -> np.ndarray:
    """[H, W] of bool: where a pixel lies in the middle of the crop, reckoned the other way round."""
    y, x = np.mgrid[: frame.height, : frame.width] + 0.5
    (across, down), (cx, cy) = frame.crop.right, frame.crop.center
    matrix = np.linalg.inv(np.array([(across, -down), (down, across)]))
    places = np.stack([x - cx, y - cy], axis=-1) @ matrix.T
    return np.abs(places).max(axis=-1) < reach


def test_a_pixel_of_the_photo_arrives_where_the_crop_says() -> None:
    crop = FaceCrop((100.0, 90.0), (48.0, 36.0))
    photo = np.zeros((200, 220, 1), np.float32)
    for u, v in ((-0.5, -0.5), (0.4, -0.3), (0.0, 0.6)):
        x, y = crop.place(u, v)
        dot = photo.copy()
        dot[round(y - 0.5), round(x - 0.5)] = 1.0
        square = FaceFrame(200, 220, 64, crop).fit(dot)[0, 0].numpy()
        rows, columns = np.mgrid[:64, :64]
        found = [float((place * square).sum() / square.sum()) for place in (columns, rows)]
        assert found == pytest.approx([32.0 * (1.0 + u) - 0.5, 32.0 * (1.0 + v) - 0.5], abs=0.6)


def test_an_upright_crop_of_all_is_the_usual_frame() -> None:
    photo = smooth_photo(256, 256)
    turned, usual = FaceFrame(256, 256, 64, crop_of_box(0, 0, 256, 256)), Frame(256, 256, 64)
    assert float((turned.fit(photo) - usual.fit(photo)).abs().max()) < 0.01
    square = usual.fit(photo)
    difference = (turned.restore(square) - usual.restore(square)).abs()
    assert float(difference[..., 32:-32, 32:-32].max()) < 0.01
    assert turned.known().min() == 1.0  # the photo ends with the crop: nothing else is asked


def test_rows_are_those_of_the_whole_and_small_copies_show_the_same() -> None:
    frame = FaceFrame(200, 260, 32, some_crops(1, 200, 260)[0])
    square = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    rows = frame.restored_rows(square)
    assert torch.equal(torch.cat([rows(slice(0, 77)), rows(slice(77, 200))], dim=2), frame.restore(square))
    small = frame.at(100, 130).restore(square)
    assert float((small - torch.nn.functional.avg_pool2d(frame.restore(square), 2)).abs().mean()) < 0.01


def test_the_edge_is_soft_and_only_where_the_photo_goes_on() -> None:
    for crop in some_crops(6, 400, 500):
        known = FaceFrame(400, 500, 64, crop).known()[0, 0].numpy()
        steps = max(np.abs(np.diff(known, axis=axis)).max() for axis in (0, 1))
        assert steps < 14.0 / crop.side  # over an eighth of the crop, and no step
        assert known[~_inside(FaceFrame(400, 500, 64, crop), 1.0)].max() == 0.0
        assert known[_inside(FaceFrame(400, 500, 64, crop), 0.7)].min() == 1.0
    below = FaceFrame(100, 100, 32, crop_of_box(0, 0, 100, 100).moved(0.0, -40.0)).known()[0, 0]
    assert float(below[0].min()) == 1.0 and float(below[-1].max()) == 0.0


# The finder


def test_networks_are_those_of_the_published_weights() -> None:
    counts = [sum(p.numel() for p in part.parameters()) for part in Mtcnn().children()]
    assert counts == [6632, 100178, 389040]  # as their authors' models have


def test_every_engine_gets_the_package_that_is_named() -> None:
    locks = sorted((ROOT / "join_blender" / "engine_requirements").glob("*.txt"))
    assert len(locks) >= 9
    for path in (*locks, ROOT / "Makefile"):
        assert f"{face_finder.PACKAGE} " in path.read_text("utf-8"), path.name


@needs_finder
def test_weights_are_read_as_data() -> None:
    face_finder._network.cache_clear()
    find_faces(np.zeros((64, 64, 3), np.float32))
    assert "facenet_pytorch" not in sys.modules


def test_without_the_package_a_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    face_finder._network.cache_clear()
    monkeypatch.setattr(face_finder, "MODULE", "no_such_package")
    with pytest.raises(JoinError, match="this Python has not") as caught:
        the_face(np.zeros((64, 64, 3), np.float32), "it")
    assert caught.value.code == "face_finder_missing" and "three points" in str(caught.value.hint)
    # Told by hand, nothing has to be found.
    crop, notes = portraits.face_in(np.zeros((64, 64, 3), np.float32), "it", {"box": [8, 8, 56, 56]})
    assert crop.side == 48.0 and notes == []
    face_finder._network.cache_clear()


def test_broken_weights_get_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pnet.pt").write_bytes(b"no weights")
    face_finder._network.cache_clear()
    monkeypatch.setattr(face_finder, "_folder", lambda: tmp_path)
    with pytest.raises(JoinError, match="not those of") as caught:
        find_faces(np.zeros((64, 64, 3), np.float32))
    assert caught.value.code == "face_finder_broken"
    face_finder._network.cache_clear()


def photo(name: str) -> np.ndarray:
    """Linear [H, W, 3] of samples/photos."""
    return read_picture(ROOT / "samples" / "photos" / name).pixels[..., :3]


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return photo("astronaut.jpg")


@needs_finder
def test_a_face_is_found_where_it_is(astronaut: np.ndarray) -> None:
    crop, notes = the_face(astronaut, "it")
    assert notes == []
    by_hand = ffhq_crop((204.0, 104.0), (249.0, 106.0), (203.0, 142.0), (246.0, 144.0))  # looked up in the picture
    assert math.dist(crop.center, by_hand.center) < 0.05 * by_hand.side
    assert crop.side == pytest.approx(by_hand.side, rel=0.08)
    angles = [math.degrees(math.atan2(*one.right[::-1])) for one in (crop, by_hand)]
    assert angles[0] == pytest.approx(angles[1], abs=4.0)


@needs_finder
@pytest.mark.slow
def test_the_crop_follows_the_photo(astronaut: np.ndarray) -> None:
    """Shown at half the size, mirrored and under dimmer light it is the same face."""
    crop = the_face(astronaut, "it")[0]
    half = the_face(astronaut.reshape(256, 2, 256, 2, 3).mean(axis=(1, 3)), "it")[0]
    assert math.dist(half.center, [0.5 * place for place in crop.center]) < 0.04 * half.side
    assert half.side == pytest.approx(0.5 * crop.side, rel=0.08)
    mirrored = the_face(np.ascontiguousarray(astronaut[:, ::-1]), "it")[0]
    assert mirrored.center == pytest.approx((512.0 - crop.center[0], crop.center[1]), abs=0.05 * crop.side)
    dim = the_face(0.3 * astronaut, "it")[0]
    assert math.dist(dim.center, crop.center) < 0.05 * crop.side


@needs_finder
@pytest.mark.slow
def test_of_two_faces_the_larger_is_taken_and_told(astronaut: np.ndarray) -> None:
    alone = the_face(astronaut, "it")[0]
    small = astronaut.reshape(256, 2, 256, 2, 3).mean(axis=(1, 3))
    both = np.full((512, 768, 3), 0.5, np.float32)
    both[:256, :256], both[:, 256:] = small, astronaut
    assert len(find_faces(both)) == 2
    crop, notes = the_face(both, "it")
    assert math.dist(crop.center, (alone.center[0] + 256.0, alone.center[1])) < 0.05 * alone.side
    assert len(notes) == 1 and "2 faces" in notes[0]


@needs_finder
@pytest.mark.parametrize("name", ["chelsea.jpg", "coffee.jpg"])
def test_where_there_is_no_face_a_sentence_says_what_to_do(name: str) -> None:
    with pytest.raises(JoinError, match="No face") as caught:
        the_face(photo(name), f"'{name}'")
    assert caught.value.code == "face_missing" and "box around the head" in str(caught.value.hint)


@needs_finder
@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("hopper.jpg", ((221.0, 189.0), (307.0, 184.0), (271.0, 277.0))),  # glasses and a cap
        ("luispedro.jpg", ((66.0, 172.0), (146.0, 160.0), (102.0, 262.0))),  # turned away, half in the dark
        ("statue.jpg", ((142.0, 182.0), (237.0, 181.0), (188.0, 292.0))),  # of stone, without brows or pupils
    ],
)
def test_odd_faces_are_found_where_they_are(name: str, points: tuple[tuple[float, float], ...]) -> None:
    """The places are looked up in the pictures."""
    crop, notes = the_face(photo(name), "it")
    by_hand = crop_of_points(*points)
    assert notes == []
    assert math.dist(crop.center, by_hand.center) < 0.06 * by_hand.side
    assert crop.side == pytest.approx(by_hand.side, rel=0.12)


@needs_finder
def test_a_profile_is_told() -> None:
    """A man who looks through a camera on a tripod, in grey."""
    crop, notes = the_face(photo("camera.jpg"), "it")
    assert math.dist(crop.center, (240.0, 160.0)) < 30.0
    assert len(notes) == 1 and "to the side" in notes[0]


@needs_finder
def test_glasses_hide_no_face(astronaut: np.ndarray) -> None:
    """Black rims and a dark glass, painted on."""
    y, x = np.mgrid[:512, :512]
    worn = astronaut.copy()
    for cx, cy in ((204.0, 104.0), (249.0, 106.0)):
        far = np.hypot(x - cx, y - cy)
        worn[far < 16.0] *= 0.7
        worn[(far > 14.0) & (far < 17.0)] = 0.01
    worn[103:107, 220:234] = 0.01
    crop, plain = the_face(worn, "it")[0], the_face(astronaut, "it")[0]
    assert math.dist(crop.center, plain.center) < 0.08 * plain.side
    assert crop.side == pytest.approx(plain.side, rel=0.15)


@needs_finder
@pytest.mark.parametrize("shape", [(1, 1), (12, 400), (64, 64)])
def test_any_picture_is_looked_at(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    for values in (np.zeros((*shape, 3)), rng.uniform(0.0, 5.0, (*shape, 3)), np.full((*shape, 4), 1e4)):
        assert find_faces(values.astype(np.float32)) == []


# Portraits


PARTS = (("albedo", "srgb"), ("shading", "reinhard"), ("specular", "reinhard"))
DRAFT = replace(get_preset("standard").with_steps(2), stages=get_preset("standard").with_steps(2).stages[-1:])


@pytest.fixture(scope="module")
def banks(tmp_path_factory: pytest.TempPathFactory, bank_maker: MakeBank) -> tuple[Bank, portraits.Rest]:
    """Of faces, and of all else."""
    folder = tmp_path_factory.mktemp("banks")
    paths = [bank_maker(folder / f"{name}.safetensors", "lambertian_specular", PARTS) for name in ("faces", "rest")]
    of_faces(load_bank(paths[0], with_discriminators=True), paths[0])
    loaded = [load_bank(path, with_discriminators=True) for path in paths]
    return loaded[0], portraits.Rest(loaded[1], CodeBook(loaded[1]))


def of_faces(bank: Bank, path: Path) -> None:
    """Write it as one that was trained on heads."""
    training = {"stretches": [{"packs": [{"dataset": "materials"}]}, {"packs": [{"dataset": "heads"}]}]}
    parts = {name: replace(part, training=training) for name, part in bank.header.components.items()}
    modules = {name: (part.generator, part.discriminator) for name, part in bank.components.items()}
    save_bank(path, replace(bank.header, components=parts), modules)


CROP = FaceCrop((70.0, 52.0), (28.0, 9.0))


@pytest.fixture(scope="module")
def portrait(banks: tuple[Bank, portraits.Rest]) -> tuple[np.ndarray, Outcome]:
    image = (0.6 * smooth_photo(120, 160) + 0.3 * RNG.random((120, 160, 3))).astype(np.float32)
    return image, portraits.decompose_portrait(image, CROP, banks[0], lambda: banks[1], DRAFT, codebook=None)


def test_a_bank_of_faces_is_known_by_what_it_has_seen(banks: tuple[Bank, portraits.Rest]) -> None:
    assert banks[0].header.faces and not banks[1].bank.header.faces
    assert not load_bank(find_bank()).header.faces
    header = banks[0].header
    heads, materials = header.components["albedo"], banks[1].bank.header.components["albedo"]
    one = {**banks[1].bank.header.components, "shading": heads}
    assert replace(header, components=one).faces and not replace(header, components=dict.fromkeys(one, materials)).faces
    back = {"stretches": [{"packs": [{"dataset": "heads"}]}, {"packs": [{"dataset": "heads"}, {"dataset": "objects"}]}]}
    mixed = {name: replace(part, training=back) for name, part in header.components.items()}
    assert not replace(header, components=mixed).faces


def test_the_layers_make_the_photo(portrait: tuple[np.ndarray, Outcome]) -> None:
    image, outcome = portrait
    found = outcome.decomposition
    assert found.bank_name == "faces" and found.size == (120, 160)
    assert np.abs(found.recomposed - image)[image.max(axis=2) < 0.99].max() < 1e-5
    assert min(float(layer.min()) for layer in found.layers.values()) >= 0.0
    assert found.metrics["psnr"] > 60.0


def test_the_head_is_one_banks_and_all_around_the_others(
    portrait: tuple[np.ndarray, Outcome], banks: tuple[Bank, portraits.Rest]
) -> None:
    image, outcome = portrait
    alone = decompose(image, banks[1].bank, DRAFT, codebook=banks[1].codebook).decomposition.layers
    layers = outcome.decomposition.layers
    known = FaceFrame(120, 160, 16, CROP).known()[0, 0].numpy()
    away = FaceFrame(120, 160, 16, CROP).nearby(0.5)[0, 0].numpy() == 0.0
    assert away.any()
    factors = layers["albedo"][away] / alone["albedo"][away]
    assert factors.std() < 1e-5 * factors.mean() and 0.5 <= factors.mean() <= 2.0
    assert np.abs(layers["shading"][away] * factors.mean() - alone["shading"][away]).max() < 1e-4
    rows, columns = portraits._where(known)
    inside = CROP.moved(-columns.start, -rows.start)
    head = decompose(np.ascontiguousarray(image[rows, columns]), banks[0], DRAFT, face=inside).decomposition
    middle = known[rows, columns] == 1.0
    for name, layer in head.layers.items():
        assert np.abs(layer[middle] - layers[name][rows, columns][middle]).max() < 1e-5
    assert all(np.array_equal(head.codes[name], outcome.decomposition.codes[name]) for name in head.codes)


@pytest.mark.slow
def test_on_faces_the_simple_method_has_less_say(
    portrait: tuple[np.ndarray, Outcome], banks: tuple[Bank, portraits.Rest]
) -> None:
    header = SplitHeader(SplitConfig((8, 12), 8, 1, 4, 8))
    network = Split(header.architecture).eval()
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    shares = []
    for bank in (banks[0], banks[1].bank):
        bank = replace(bank, split=network, header=replace(bank.header, split=header))
        shares.append(decompose(portrait[0], bank, DRAFT).decomposition.metrics["caution"])
    faces, rest = (share / (1.0 - share) for share in shares)  # of one and the same expected error
    assert faces / rest == pytest.approx((RETINEX_ERROR / FACES_RETINEX_ERROR) ** 2, rel=1e-3)


def test_there_is_no_seam() -> None:
    """Two banks that mean twice the brightness by the same paint, and other light: no step where they meet."""
    frame = FaceFrame(120, 160, 16, CROP)
    known, near = frame.known()[0, 0].numpy(), frame.nearby(0.5)[0, 0].numpy()
    rows, columns = portraits._where(known)
    flat = np.ones((120, 160, 3), np.float32)
    around = {"albedo": 0.2 * flat, "shading": 2.0 * flat, "specular": 0.0 * flat}
    head = {"albedo": 0.4 * flat, "shading": 0.95 * flat, "specular": 0.02 * flat}
    part = {name: layer[rows, columns] for name, layer in head.items()}
    found = portraits.together(part, around, known, near, rows, columns)
    assert np.abs(found["albedo"] * found["shading"] + found["specular"] - 0.4).max() < 1e-6
    for layer in found.values():
        for axis in (0, 1):
            assert np.abs(np.diff(np.log(layer + 0.1), axis=axis)).max() < 0.04
    assert np.abs(found["albedo"] - 0.4).max() < 0.02  # brought to the head's
    # Not beyond what paint can be.
    bright = {**around, "albedo": 0.9 * flat, "shading": 0.444444 * flat}
    part["albedo"], part["shading"] = part["albedo"] * 2.4, part["shading"] / 2.4
    assert portraits.together(part, bright, known, near, rows, columns)["albedo"].max() <= 1.0


def test_what_differs_on_one_side_is_brought_there_alone() -> None:
    """A bank that takes the left of the backdrop for darker paint in more light, and the right for what it is."""
    frame = FaceFrame(240, 320, 16, crop_of_box(110, 70, 210, 170))
    known, near = frame.known()[0, 0].numpy(), frame.nearby(0.5)[0, 0].numpy()
    rows, columns = portraits._where(known)
    flat = np.full((240, 320, 3), 0.4, np.float32)
    darker = np.interp(np.arange(320), [120, 200], [0.7, 1.0]).astype(np.float32)[None, :, None]
    around = {"albedo": flat * darker, "shading": 0.5 * flat / (0.4 * darker)}
    part = {name: layer[rows, columns] for name, layer in {"albedo": flat, "shading": 1.25 * flat}.items()}
    found = portraits.together(part, around, known, near, rows, columns)
    assert np.abs(found["albedo"] * found["shading"] - 0.2).max() < 1e-6
    albedo = found["albedo"][120, :, 0]
    assert np.abs(np.diff(np.log(albedo))).max() < 0.02
    error = np.abs(np.log(albedo / 0.4))
    assert error[95:225].max() < 0.12  # one factor for all would leave 0.17 on either side
    far = found["albedo"][:, [0, -1], 0] / around["albedo"][:, [0, -1], 0]
    assert np.ptp(far) < 1e-6


def test_a_photo_that_ends_with_the_head_asks_no_other_bank(banks: tuple[Bank, portraits.Rest]) -> None:
    def never() -> portraits.Rest:
        raise AssertionError

    image = smooth_photo(64, 64)
    whole = crop_of_box(0, 0, 64, 64)
    found = portraits.decompose_portrait(image, whole, banks[0], never, DRAFT).decomposition
    assert "rest" not in found.settings["face"]
    assert np.abs(found.recomposed - image).max() < 1e-5


def test_a_portrait_is_relit_around_the_face_and_stored(
    portrait: tuple[np.ndarray, Outcome], banks: tuple[Bank, portraits.Rest], tmp_path: Path
) -> None:
    found = portrait[1].decomposition
    save_decomposition(tmp_path / "it.join", found)
    again = load_decomposition(tmp_path / "it.join")
    assert again.settings["face"] == found.settings["face"]
    edit = [Edit("shading", 0, 2.0)]
    lit = Relighter(again, banks[0]).relight(edit)
    assert np.array_equal(lit.layers["albedo"], found.layers["albedo"])
    assert np.array_equal(lit.layers["specular"], found.layers["specular"])
    # The light moves as the generator's square does, laid into the photo where the face is.
    frame = FaceFrame(120, 160, 16, CROP)
    part = banks[0].components["shading"]
    squares = []
    for codes in (found.codes["shading"], lit.codes["shading"]):
        made = generate(part.generator, torch.from_numpy(codes)[None])
        squares.append(part.transform.from_generator(frame.restore(made))[0].permute(1, 2, 0).clip(0.0).numpy())
    ratio = lit.layers["shading"] / found.layers["shading"]
    gained = (squares[1] - squares[0]).clip(0.0, None) / np.maximum(squares[0], found.layers["shading"])
    wanted = np.minimum((squares[1] + 1e-3) / (squares[0] + 1e-3), 1.0 + gained)
    assert np.abs(np.log(ratio) - np.log(wanted))[_inside(frame, 0.8)].max() < 0.05
    assert np.abs(np.log(ratio)).max() > 0.05
    # Highlights around the face stay: no generator knows where they go.
    glossy = Relighter(again, banks[0]).relight([Edit("specular", 0, 2.0)]).layers["specular"]
    change = np.abs(glossy - found.layers["specular"])
    assert change[frame.known()[0, 0].numpy() == 0.0].max() == 0.0 and change.max() > 0.0
    small = Relighter(again, banks[0]).preview(edit, 80)
    assert small["shading"].shape == (60, 80, 3)
    halved = lit.layers["shading"].reshape(60, 2, 80, 2, 3).mean(axis=(1, 3))
    assert np.abs(small["shading"] / halved - 1.0).mean() < 0.05


@pytest.mark.parametrize(
    "spoiled",
    [
        {},
        [1],
        {"crop": 3, "size": [120, 160]},
        {"crop": {"center": [0, 0], "right": [0, 0]}, "size": [120, 160]},
        {"crop": {"center": [9, 9], "right": [9, 0]}, "size": [120]},
        {"crop": {"center": [9, 9], "right": [9, 0]}, "size": [0, 5]},
        {"crop": {"center": [9, 9], "right": [9, 0]}, "size": ["x", 5]},
    ],
)
def test_a_place_that_is_none_gets_a_sentence(
    portrait: tuple[np.ndarray, Outcome], banks: tuple[Bank, portraits.Rest], spoiled: object
) -> None:
    found = portrait[1].decomposition
    broken = replace(found, settings={**found.settings, "face": spoiled})
    with pytest.raises(JoinError, match="face lies"):
        Relighter(broken, banks[0])


def test_a_compact_copy_is_relit_at_the_same_place(
    portrait: tuple[np.ndarray, Outcome], banks: tuple[Bank, portraits.Rest]
) -> None:
    found = portrait[1].decomposition
    small = {name: layer.reshape(60, 2, 80, 2, 3).mean(axis=(1, 3)) for name, layer in found.layers.items()}
    edit = [Edit("shading", 0, 2.0)]
    compact, whole = (Relighter(one, banks[0]).preview(edit, 80) for one in (replace(found, layers=small), found))
    assert np.abs(compact["shading"] / whole["shading"] - 1.0).max() < 0.05


def test_only_the_face_is_tuned(
    portrait: tuple[np.ndarray, Outcome], banks: tuple[Bank, portraits.Rest], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def noted(image: np.ndarray, bank: Bank, preset: Preset, *rest: Any, **more: Any) -> Outcome:
        seen.append((bank.header.name, [stage.kind for stage in preset.stages]))
        return decompose(image, bank, preset, *rest, **more)

    monkeypatch.setattr(portraits, "decompose", noted)
    tuning = replace(DRAFT, stages=(*DRAFT.stages, Tuning(steps=1)))
    found = portraits.decompose_portrait(portrait[0], CROP, banks[0], lambda: banks[1], tuning).decomposition
    assert seen == [("faces", ["joint", "tuning"]), ("rest", ["joint"])] and found.tuned
    assert [stage.kind for stage in get_preset("portrait").stages][-1] == "tuning"


def test_a_portrait_can_be_stopped(banks: tuple[Bank, portraits.Rest]) -> None:
    image, stop = smooth_photo(80, 120), Monitor(cancelled=lambda: True)
    crop = crop_of_box(30, 20, 70, 60)

    def never() -> portraits.Rest:
        raise AssertionError

    with pytest.raises(Discarded):
        unwanted = replace(stop, discarded=lambda: True)
        portraits.decompose_portrait(image, crop, banks[0], never, DRAFT, monitor=unwanted)
    kept = portraits.decompose_portrait(image, crop, banks[0], lambda: banks[1], DRAFT, monitor=stop)
    assert kept.cancelled and kept.decomposition.size == (80, 120)
    assert np.abs(kept.decomposition.recomposed - image).max() < 1e-5


def test_previews_show_the_photo_around_the_head(banks: tuple[Bank, portraits.Rest]) -> None:
    image, crop, seen = smooth_photo(80, 120), crop_of_box(30, 20, 70, 60), []
    portraits.decompose_portrait(
        image,
        crop,
        banks[0],
        lambda: banks[1],
        DRAFT,
        monitor=Monitor(preview_every=1),
        on_preview=lambda step, layers: seen.append(layers),
        preview_size=60,
    )
    assert len(seen) >= 2
    for layers in seen:
        assert {layer.shape for layer in layers.values()} == {(40, 60, 3)}
        made = layers["albedo"] * layers["shading"] + layers["specular"]
        small = image.reshape(40, 2, 60, 2, 3).mean(axis=(1, 3))
        assert np.abs(made - small)[:, -15:].max() < 0.01


@pytest.mark.parametrize(
    "given",
    [
        {"box": [10, 10, 5, 20]},
        {"box": [200, 200, 260, 260]},
        {"box": [1, 2, 3]},
        {"points": [[1, 1], [1, 1], [1, 1]]},
        {"points": [[1, 1], [5, 1]]},
        {},
        {"box": [0, 0, 3, 3]},
    ],
)
def test_what_is_no_face_gets_a_sentence(given: dict[str, object]) -> None:
    with pytest.raises(JoinError) as caught:
        portraits.face_in(np.zeros((100, 100, 3), np.float32), "it", given)
    assert caught.value.code == "face_invalid" and caught.value.hint


@pytest.mark.parametrize(
    ("face", "fits"),
    [
        ({"box": [0, 1.5, 20, 30]}, True),
        ({"points": [[0, 1], [2.0, 1], [1, 3]]}, True),
        ({"box": [0, 1, 2]}, False),
        ({"box": [0, 1, 2, True]}, False),
        ({"points": [[0, 1], [2, 1]]}, False),
        ({"points": [[0, 1], [2, 1], 3]}, False),
        ({"box": [0, 0, 1, 1], "points": []}, False),
        ([], False),
    ],
)
def test_requests_tell_of_faces(face: object, fits: bool) -> None:
    message = {"type": "decompose", "image": "a", "output": "b", "face": face}
    if fits:
        check(message)
        return
    with pytest.raises(JoinError, match="three points"):
        check(message)


# The suggestion


@pytest.fixture
def shipped(banks: tuple[Bank, portraits.Rest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bank of faces among those that are shipped, and a file that is no bank."""
    broken = tmp_path / "broken.safetensors"
    broken.write_text("no bank")
    monkeypatch.setattr(portraits, "list_banks", lambda: [broken, banks[1].bank.path, banks[0].path])


@pytest.mark.slow
@needs_finder
@pytest.mark.usefixtures("shipped")
def test_a_bank_of_faces_is_suggested_for_one_face_that_is_large_enough(astronaut: np.ndarray) -> None:
    bank, (told,) = portraits.suggest(astronaut, None)
    assert bank == "faces" and "'faces'" in told
    for other in ("coffee.jpg", "chelsea.jpg", "camera.jpg"):  # none, a cat, one from the side
        assert portraits.suggested_bank(photo(other)) is None
    assert portraits.suggested_bank(np.concatenate([astronaut, astronaut], axis=1)) is None  # two


@needs_finder
@pytest.mark.usefixtures("shipped")
def test_a_face_smaller_than_the_banks_square_gets_no_suggestion(
    astronaut: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    (face,) = find_faces(astronaut)
    for side, wanted in ((15.9, None), (16.1, "faces")):  # the bank has 16 pixels
        crop = FaceCrop(face.crop.center, (0.5 * side, 0.0))
        monkeypatch.setattr(portraits, "find_faces", lambda image, crop=crop: [replace(face, crop=crop)])
        assert portraits.suggested_bank(astronaut) == wanted


def test_nothing_is_suggested_without_a_bank_or_a_finder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def never(image: np.ndarray) -> list[face_finder.Face]:
        raise AssertionError

    monkeypatch.setattr(portraits, "find_faces", never)
    image = np.full((64, 64, 3), 0.5, np.float32)
    monkeypatch.setattr(portraits, "list_banks", lambda: [find_bank()])
    assert portraits.suggested_bank(image) is None


@needs_finder
@pytest.mark.usefixtures("shipped")
def test_nothing_is_suggested_where_the_finder_is_missing_or_broken(
    astronaut: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portraits, "is_installed", lambda: False)
    assert portraits.suggested_bank(astronaut) is None
    monkeypatch.setattr(portraits, "is_installed", lambda: True)

    def broken(image: np.ndarray) -> list[face_finder.Face]:
        raise JoinError("face_finder_broken", "It is.")

    monkeypatch.setattr(portraits, "find_faces", broken)
    assert portraits.suggested_bank(astronaut) is None


# The command


@pytest.fixture(scope="module")
def faces_path(banks: tuple[Bank, portraits.Rest]) -> str:
    return str(banks[0].path)


@pytest.fixture
def around(banks: tuple[Bank, portraits.Rest], monkeypatch: pytest.MonkeyPatch) -> None:
    """A small bank for all around the face."""
    monkeypatch.setattr(portraits, "load_rest", lambda device: banks[1])


def write_photo(path: Path) -> Path:
    from PIL import Image

    Image.fromarray((np.clip(srgb_encode(smooth_photo(96, 128)), 0, 1) * 255).astype(np.uint8)).save(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("where", [["--face-box", "30,20,80,70"], ["--face-points", "45,40", "65,41", "55,60"]])
@pytest.mark.usefixtures("around")
def test_the_command_goes_there_and_back(where: list[str], faces_path: str, tmp_path: Path) -> None:
    image = write_photo(tmp_path / "it.png")
    command = ["decompose", str(image), "--out", str(tmp_path / "out"), "--bank", faces_path, *where, "--confidence"]
    assert main(command) == 0
    found = load_decomposition(tmp_path / "out" / "it" / "decomposition.join")
    assert found.size == (96, 128) and found.settings["face"]["rest"]["name"] == "rest"
    made = json.loads((tmp_path / "out" / "it" / "made.json").read_text("utf-8"))["made"]["settings"]
    assert set(made["face"]) == {"given", "rest"}
    assert main(["relight", str(tmp_path / "out" / "it" / "decomposition.join"), "--bank", faces_path, "--list"]) == 0


@needs_finder
def test_a_photo_without_a_face_is_left_and_the_next_goes_on(
    faces_path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_photo(tmp_path / "plain.png")
    command = ["decompose", str(tmp_path / "plain.png"), "--out", str(tmp_path / "out"), "--bank", faces_path]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "No face was found" in said and "plain.png" in said and "Traceback" not in said
    assert not (tmp_path / "out" / "plain").exists()


def test_a_face_is_not_told_to_another_bank(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = write_photo(tmp_path / "it.png")
    assert main(["decompose", str(image), "--out", str(tmp_path / "out"), "--face-box", "1,2,30,40"]) != 0
    assert "not one of faces" in capsys.readouterr().err


@pytest.mark.skipif(any(path.stem == "faces" for path in list_banks()), reason="there is one")
def test_without_a_bank_of_faces_a_sentence_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = write_photo(tmp_path / "it.png")
    assert main(["decompose", str(image), "--out", str(tmp_path / "out"), "--bank", "faces"]) == 2
    said = capsys.readouterr().err
    assert "There is no bank 'faces'" in said and "materials" in said


def test_other_commands_refuse_a_bank_of_faces(
    faces_path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = write_photo(tmp_path / "it.png")
    mask = write_photo(tmp_path / "mask.png")
    out = ["--out", str(tmp_path / "out"), "--bank", faces_path]
    assert main(["clean-up", str(image), "--mask", str(mask), *out]) == 2
    assert main(["decompose-together", str(image), str(mask), *out]) == 2
    assert capsys.readouterr().err.count("not possible with a bank of faces") == 2
