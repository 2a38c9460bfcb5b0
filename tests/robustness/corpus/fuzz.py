"""What Hypothesis draws: random cards, documents and pictures."""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from device.pictures.steps import FILTERS, STEPS
from tests.robustness.corpus.models import good_card

numbers = st.integers() | st.floats() | st.integers(-3, 9_000)
scalars = st.none() | st.booleans() | numbers | st.text(max_size=20)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
parameters = st.dictionaries(st.sampled_from(["size", "box", "filter", "speed"]), st.integers(-2, 400) | scalars, max_size=3)
steps = st.lists(
    st.tuples(st.sampled_from(sorted(STEPS)), parameters).map(list) | st.sampled_from(sorted(STEPS)).map(lambda s: [s]),
    max_size=6,
)
sizes = st.integers(1, 200)
plausible_steps = st.lists(
    st.sampled_from(
        [
            ["exif_orientation"],
            ["gray"],
            ["rgb"],
            ["light_on_dark"],
            ["digit_frame", {"size": 28, "box": 20}],
            ["stroke_frame", {"size": 28, "box": 20}],
        ]
    )
    | sizes.map(lambda size: ["center_crop", {"size": size}])
    | st.tuples(sizes, st.sampled_from(sorted(FILTERS))).map(
        lambda drawn: ["resize", {"size": drawn[0], "filter": drawn[1]}]
    ),
    max_size=5,
)


@st.composite
def cards(draw: st.DrawFn) -> dict[str, Any]:
    """Return a card with arbitrary values in some fields."""
    card = good_card()
    for name in draw(st.lists(st.sampled_from(sorted(card)), max_size=3)):
        card[name] = draw(anything)
    if draw(st.booleans()):
        card["preprocess"] = draw(steps | plausible_steps)
    if draw(st.booleans()):
        card["golden"] = draw(st.lists(st.dictionaries(st.sampled_from(["png", "scores", "top1", "clear"]), anything)))
    return card


@st.composite
def images(draw: st.DrawFn) -> Image.Image:
    """Return a picture of any mode and an odd size, with noise or a stroke in it."""
    width, height = draw(st.integers(1, 90)), draw(st.integers(1, 90))
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    noise = random.integers(0, draw(st.sampled_from([1, 2, 40, 256])), (height, width), dtype=np.uint8)
    if draw(st.booleans()):
        noise[height // 4 : height * 3 // 4 + 1, width // 2 : width // 2 + 1 + width // 10] ^= 255
    mode = draw(st.sampled_from(["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr", "HSV", "LAB", "I", "F", "I;16"]))
    if mode == "I;16":
        return Image.fromarray(noise.astype(np.uint16) * draw(st.sampled_from([1, 257])))
    if mode in ("I", "F"):
        values = noise.astype(np.int32 if mode == "I" else np.float32) * draw(st.sampled_from([-1, 1, 257, 10**6]))
        if mode == "F" and draw(st.booleans()):
            values[0, 0] = draw(st.sampled_from([float("nan"), float("inf"), float("-inf")]))
        return Image.fromarray(values)
    if mode in ("LAB", "HSV", "YCbCr"):
        return Image.merge(mode, [Image.fromarray(noise)] * 3)
    return Image.fromarray(noise).convert(mode)
