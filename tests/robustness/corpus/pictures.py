"""Defective and odd pictures."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from tests.robustness.corpus.defect import Bad, no_files, write

SIDE = 96
BOMB_SIDE = 40_000


def digit(mode: str = "L", side: int = SIDE) -> Image.Image:
    """Return a picture of a 1: a dark stroke on light paper."""
    pixels = np.full((side, side), 235, np.uint8)
    pixels[side // 5 : side - side // 5, side * 9 // 20 : side * 11 // 20] = 20
    return Image.fromarray(pixels).convert(mode)


def pictures(folder: Path) -> Iterator[Bad]:
    """Write every picture."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, ending in (("jpeg", ".jpg"), ("png", ".png")):
        good = folder / f"good{ending}"
        digit("RGB").save(good)
        data = good.read_bytes()
        yield Bad(good, "valid", valid=True)
        (folder / name).mkdir()
        yield from no_files(folder / name, ending, data)
        for share in range(1, 20):
            cut = write(folder / f"truncated-{name}-{share * 5:02}-percent{ending}", data[: len(data) * share // 20])
            yield Bad(cut, "truncated", "not a picture", any_end=share == 19)  # what is cut off may be no pixels
        for number, at in enumerate(range(0, len(data), max(1, len(data) // 60))):
            flipped = bytearray(data)
            flipped[at] ^= 0x10
            yield Bad(write(folder / f"flip-{number:02}{ending}", bytes(flipped)), "a bit flipped", any_end=True)
    yield from _sizes(folder)
    yield from _modes(folder)
    yield Bad(write(folder / "a-text-file.png", b"this is no picture\n" * 100), "no picture", "not a picture")
    yield Bad(write(folder / "html.jpg", b"<!doctype html><title>404</title>"), "no picture", "not a picture")
    svg = b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>"
    yield Bad(write(folder / "svg.png", svg), "no picture", "not a picture")
    yield Bad(
        write(folder / "postscript.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 28 28\n"), "no picture", "not a pic"
    )
    digit().save(folder / "a-png-really.bmp", "PNG")
    yield Bad(folder / "a-png-really.bmp", "wrong ending", valid=True)


def _sizes(folder: Path) -> Iterator[Bad]:
    for width, height in ((0, 0), (0, 28), (28, 0)):
        path = write(folder / f"{width}x{height}.png", _png(width, height, b""))
        yield Bad(path, "odd size", "not a picture")
    for width, height, says in ((1, 1, ""), (20_000, 1, ""), (1, 20_000, "")):
        path = folder / f"{width}x{height}.png"
        Image.new("L", (width, height), 200).save(path)
        yield Bad(path, "odd size", says, any_end=True)
    for side in (BOMB_SIDE, 2**31 - 1):
        rows = zlib.compress(bytes(1 << 20), 9)
        path = write(folder / f"decompression-bomb-{side}.png", _png(side, side, rows))
        yield Bad(path, "decompression bomb", "too large|not a picture")
    text = zlib.compress(bytes(80 << 20), 9)
    data = _png(28, 28, zlib.compress(b"\0" * 29 * 28), _chunk(b"zTXt", b"Comment\0\0" + text))
    yield Bad(write(folder / "bomb-in-a-comment.png", data), "decompression bomb", any_end=True)
    for mode, side in (("RGBA", 7_000), ("I;16", 7_000), ("LA", 7_000), ("CMYK", 7_000), ("L", 9_400)):
        path = folder / f"large-{mode.replace(';', '').lower()}.{'tif' if mode == 'CMYK' else 'png'}"
        Image.new(mode, (side, side), 1 if mode in ("L", "I;16") else None).save(
            path, **({"compression": "tiff_deflate"} if mode == "CMYK" else {"compress_level": 1})
        )
        yield Bad(path, "large", any_end=True)


def _modes(folder: Path) -> Iterator[Bad]:
    """Write pictures that are odd, but valid."""
    for mode, ending in (("CMYK", ".jpg"), ("CMYK", ".tif"), ("1", ".png"), ("P", ".png"), ("LA", ".png"), ("RGBA", ".png")):
        path = folder / f"{mode.lower()}{ending}"
        digit("L").convert(mode).save(path)
        yield Bad(path, "odd mode", valid=True)
    wide = np.asarray(digit()).astype(np.uint16) * 257
    Image.fromarray(wide).save(folder / "16-bit.png")
    Image.fromarray(wide).save(folder / "16-bit.tif")
    Image.fromarray((wide / 65_535).astype(np.float32)).save(folder / "float.tif")
    yield from (Bad(folder / name, "odd mode", valid=True) for name in ("16-bit.png", "16-bit.tif"))
    yield Bad(folder / "float.tif", "odd mode", any_end=True)
    nan = np.full((28, 28), np.nan, np.float32)
    Image.fromarray(nan).save(folder / "nan.tif")
    yield Bad(folder / "nan.tif", "odd mode", any_end=True)
    frames = [digit("P"), digit("P").rotate(5), digit("P").rotate(10)]
    for ending in (".gif", ".webp", ".png"):
        path = folder / f"animated{ending}"
        frames[0].convert("RGB").save(path, save_all=True, append_images=[frame.convert("RGB") for frame in frames[1:]])
        yield Bad(path, "odd mode", valid=True)
    for orientation in (*range(1, 9), 0, 99):
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = folder / f"exif-rotated-{orientation}.jpg"
        digit("RGB").save(path, exif=exif)
        yield Bad(path, "EXIF", valid=True)
    for name, kind, value in (("text", 2, 0x32000000), ("double", 12, 0), ("bytes", 7, 0x02030405)):
        tags = struct.pack(">HHII", 0x0112, 3, 1, 6 << 16) + struct.pack(">HHII", 0x0128, kind, 1, value)
        path = folder / f"exif-resolution-unit-is-{name}.jpg"
        digit("RGB").save(path, exif=b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 2) + tags + bytes(4))
        yield Bad(path, "EXIF", valid=True)
    path = folder / "exif-damaged.jpg"
    digit("RGB").save(path, exif=b"Exif\0\0MM\0*" + bytes([255]) * 60)
    yield Bad(path, "EXIF", any_end=True)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width: int, height: int, rows: bytes, more: bytes = b"") -> bytes:
    """Return a gray PNG with this header."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + more + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")
