"""Draws MNIST digits like photos of handwriting: pen on paper, chalk on a board.

All random numbers come from the generator that is passed in, so the same seed gives the same picture. Pillow and numpy draw
the faults of real photos: uneven light, shadows, noise, blur, rotation, perspective, JPEG.
"""

import io
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

Pixels = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float32]

SIZES = ((200, 200), (320, 240), (480, 640), (640, 480), (800, 600), (1024, 1024), (1280, 960), (1600, 1200))
INKS = ((25, 25, 30), (20, 30, 120), (150, 25, 30), (15, 90, 40), (90, 90, 95), (60, 35, 20))  # black to brown
PAPERS = ((250, 250, 248), (240, 236, 222), (225, 228, 235), (205, 195, 170), (235, 225, 150))
BOARDS = ((35, 60, 48), (30, 32, 36), (52, 46, 44))
CHALKS = ((240, 240, 235), (245, 225, 140), (235, 190, 200))


@dataclass(frozen=True)
class Scene:
    """All that decides how one photo looks. Lengths are parts of the picture's shorter side, light is 1 where even."""

    size: tuple[int, int] = (640, 480)
    ground: tuple[int, int, int] = PAPERS[0]
    ink: tuple[int, int, int] = INKS[0]
    opacity: float = 0.9
    height: float = 0.5  # of the digit's 20 pixels
    place: tuple[float, float] = (0.5, 0.5)  # of the digit, in what is left and right of it, above and below
    tilt: float = 0.0  # degrees, of the whole sheet
    keystone: float = 0.0  # how much a side of the sheet shrinks in perspective
    weight: float = 0.0  # -1 thin pen, 0 as MNIST, +1 marker
    sharp: bool = True  # a pen's edge, not MNIST's soft one
    gradient: float = 0.0  # light lost from one side to the other
    towards: float = 0.0  # radians
    vignette: float = 0.0
    shadow: float = 0.0
    chalk: bool = False
    rules: float = 0.0  # contrast of ruled lines
    squared: bool = False
    table: float = 0.0  # how much of a dark table stands around the sheet
    noise: float = 3.0  # standard deviation, of 255
    blur: float = 0.0  # pixels
    jpeg: int = 0  # quality; 0 for none


def random_scene(rng: np.random.Generator) -> Scene:
    """A scene like an ordinary photo; it rarely has all faults at once."""

    def sometimes(chance: float, low: float, high: float) -> float:
        return float(rng.uniform(low, high)) if rng.random() < chance else 0.0

    chalk = rng.random() < 0.15
    grounds, inks = (BOARDS, CHALKS) if chalk else (PAPERS, INKS)
    return Scene(
        size=SIZES[rng.integers(len(SIZES))],
        ground=grounds[rng.integers(len(grounds))],
        ink=inks[rng.integers(len(inks))],
        opacity=float(rng.uniform(0.6, 1.0)),
        height=float(np.exp(rng.uniform(np.log(0.12), np.log(0.85)))),
        place=(float(rng.uniform(0.05, 0.95)), float(rng.uniform(0.05, 0.95))),
        tilt=float(rng.uniform(-12, 12)),
        keystone=sometimes(0.5, 0.02, 0.15),
        weight=float(rng.uniform(-0.4, 0.6)),
        sharp=rng.random() < 0.7,
        gradient=sometimes(0.7, 0.1, 0.5),
        towards=float(rng.uniform(0, 2 * np.pi)),
        vignette=sometimes(0.4, 0.1, 0.4),
        shadow=sometimes(0.3, 0.15, 0.4),
        chalk=chalk,
        noise=float(rng.uniform(0, 9)),
        blur=sometimes(0.4, 0.3, 1.2),
        jpeg=int(sometimes(0.6, 40, 95)),
    )


def photo_like(digit28: Pixels, rng: np.random.Generator, scene: Scene | None = None) -> Image.Image:
    """An "RGB" photo of `digit28` (28, 28), uint8, light on dark, in a random scene or in the one given."""
    scene = scene or random_scene(rng)
    width, height = scene.size
    cover = _strokes(digit28, scene)
    if scene.chalk:
        cover *= 1 - 0.5 * (_grain(rng, (height, width), 1) > 0.6)  # chalk skips over the board's grain
    cover = np.clip(cover * scene.opacity, 0, 1)[..., None]
    sheet = np.asarray(_sheet(scene), np.float32)
    colours = sheet * (1 - cover) + np.asarray(scene.ink, np.float32) * cover
    colours = colours * _light(rng, scene)[..., None]
    colours += rng.normal(0, scene.noise, (*colours.shape[:2], 1)) + rng.normal(0, scene.noise / 3, colours.shape)
    photo = Image.fromarray(np.clip(colours + 0.5, 0, 255).astype(np.uint8))
    if scene.blur:
        photo = photo.filter(ImageFilter.GaussianBlur(scene.blur))
    return _jpeg(photo, scene.jpeg) if scene.jpeg else photo


def side_by_side(left: Pixels, right: Pixels, rng: np.random.Generator, scene: Scene | None = None) -> Image.Image:
    """A photo of two digits (28, 28) side by side, which must be refused."""
    scene = replace(scene or random_scene(rng), height=0.35, tilt=0.0, keystone=0.0)
    width, height = scene.size
    half = (width // 2, height)
    pictures = [
        photo_like(digit, rng, replace(scene, size=half, shadow=0.0, gradient=0.0, vignette=0.0)) for digit in (left, right)
    ]
    both = Image.new("RGB", (2 * half[0], height))
    for i, picture in enumerate(pictures):
        both.paste(picture, (i * half[0], 0))
    return both


def _strokes(digit28: Pixels, scene: Scene) -> Plane:
    """How much of each pixel of the photo the pen covered: (height, width), 0..1."""
    width, height = scene.size
    big = max(20, round(scene.height * min(width, height)))  # what the digit's 20 pixels become
    side = round(big * 28 / 20)
    pen = Image.fromarray(digit28).resize((max(side, 224), max(side, 224)), Image.Resampling.BICUBIC)
    if scene.sharp:
        pen = _pen(pen, scene.weight)
    pen = pen.resize((side, side), Image.Resampling.BILINEAR)
    sheet = Image.new("L", (width, height))
    reach = max(big * 1.15, 1)  # tilted, it takes a little more room
    left = round(scene.place[0] * max(width - reach, 0) + reach / 2 - side / 2)
    top = round(scene.place[1] * max(height - reach, 0) + reach / 2 - side / 2)
    sheet.paste(_tilted(pen, scene), (left, top))
    return np.asarray(sheet, np.float32) / 255


def _pen(strokes: Image.Image, weight: float) -> Image.Image:
    """Soft grey strokes "L" with the edge of a pen: thinner for a negative weight, thicker for a positive one."""
    cut = 128 - 60 * weight if weight < 0 else 128 - 40 * weight
    reach = 2 * round(abs(weight) * strokes.width / 28 * 0.5) + 1
    if reach > 1:
        size = min(reach, 15)
        strokes = strokes.filter(ImageFilter.MinFilter(size) if weight < 0 else ImageFilter.MaxFilter(size))
        cut = 128
    return strokes.point(lambda value: max(0, min(255, round((value - cut) * 5 + 128))))


def _tilted(pen: Image.Image, scene: Scene) -> Image.Image:
    """The digit on its tilted sheet, one side further away than the other."""
    turned = pen.rotate(scene.tilt, Image.Resampling.BICUBIC)
    if not scene.keystone:
        return turned
    width, height = turned.size
    inset = scene.keystone * width / 2
    quad = (-inset, -inset / 2, inset / 4, height, width - inset / 4, height, width + inset, -inset / 2)
    return turned.transform(turned.size, Image.Transform.QUAD, quad, Image.Resampling.BILINEAR)


def _sheet(scene: Scene) -> Image.Image:
    """The paper or board with its rules, on the table if that is seen: "RGB"."""
    width, height = scene.size
    sheet = Image.new("RGB", scene.size, scene.ground)
    draw = ImageDraw.Draw(sheet)
    if scene.rules:
        step = max(min(width, height) // 12, 6)
        colour = tuple(round(g * (1 - scene.rules)) for g in scene.ground)
        slant = np.tan(np.radians(-scene.tilt / 4))
        for y in range(-height, 2 * height, step):
            draw.line((0, y, width, y + width * slant), colour, max(1, step // 20))
        for x in range(-width, 2 * width, step) if scene.squared else ():
            draw.line((x, 0, x - height * slant, height), colour, max(1, step // 20))
    if scene.table:
        edge = scene.table * min(width, height)
        slant = np.tan(np.radians(scene.tilt / 3))
        draw.polygon([(0, 0), (width, 0), (width, edge), (0, edge + slant * width)], (70, 50, 38))
        draw.polygon([(0, 0), (edge, 0), (edge - slant * height, height), (0, height)], (70, 50, 38))
    return sheet


def _light(rng: np.random.Generator, scene: Scene) -> Plane:
    """How much light falls on each pixel: (height, width), 1 for full light."""
    width, height = scene.size
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    along = x * np.cos(scene.towards) + y * np.sin(scene.towards)
    light = 1 - scene.gradient * (along + 1.42) / 2.84 - scene.vignette * (x * x + y * y) / 2
    if scene.shadow:
        edge = rng.uniform(-0.8, 0.8) + rng.uniform(-0.4, 0.4) * y + rng.uniform(-0.2, 0.2) * y * y
        softness = rng.uniform(0.01, 0.2)
        light *= 1 - scene.shadow / (1 + np.exp(-np.clip((x - edge) / softness, -30, 30)))
    return np.asarray(light, np.float32)


def _grain(rng: np.random.Generator, shape: tuple[int, int], radius: float) -> Plane:
    """Blotches of about `radius` pixels: (height, width), 0..1."""
    spots = Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).filter(ImageFilter.GaussianBlur(radius))
    plane = np.asarray(spots, np.float32)
    spread: Plane = (plane - plane.min()) / max(float(np.ptp(plane)), 1.0)
    return spread


def _jpeg(photo: Image.Image, quality: int) -> Image.Image:
    """The photo after a camera's compression."""
    packed = io.BytesIO()
    photo.save(packed, "JPEG", quality=quality)
    return Image.open(packed).convert("RGB")
