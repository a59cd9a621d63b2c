"""The pictures of `scenes`: cells with small things, noise, and PNG files whose bytes are the same on every machine.

Nothing here depends on a version of Python, zlib or libm: every draw is a number that SHAKE-256 makes of a name.
"""

import hashlib
import struct
import zlib

from png_file import chunk, png_file

GRID, CELL_PX = 12, 8
SIDE_PX = GRID * CELL_PX
COLOURS = {"red": (200, 45, 45), "green": (45, 160, 60), "blue": (60, 85, 215), "yellow": (205, 185, 40),
           "orange": (225, 125, 35), "purple": (135, 60, 175), "teal": (40, 165, 165), "pink": (225, 125, 180)}
BACKGROUND, WHITE, BLACK = 0, len(COLOURS) + 1, len(COLOURS) + 2   # places in the palette; the colours have 1 to 8
LEVELS = 16                                                        # of noise, for each place


class Draws:
    """Draws that the name alone decides."""

    def __init__(self, name):
        self.words = memoryview(hashlib.shake_256(name.encode()).digest(4096))
        self.at = 0

    def below(self, count):
        """A whole number from 0 to count - 1."""
        word = int.from_bytes(self.words[self.at:self.at + 4], "little")
        self.at += 4
        return word * count >> 32

    def one_of(self, things):
        return things[self.below(len(things))]

    def shuffled(self, things):
        things = list(things)
        for i in range(len(things) - 1, 0, -1):
            j = self.below(i + 1)
            things[i], things[j] = things[j], things[i]
        return things


DIGITS = ["####.##.##.####", "..#..#..#..#..#", "###..#####..###", "###..####..####", "#.##.####..#..#",
          "####..###..####", "####..####.####", "###..#..#..#..#", "####.#####.####", "####.####..####"]  # 3 wide


def shape(inside):
    """Whether each pixel of a cell is inside."""
    return [[inside(x, y) for x in range(CELL_PX)] for y in range(CELL_PX)]


CORNERS = {(0, 0), (0, 1), (1, 0)}
FRAME = shape(lambda x, y: True)
ROUND = shape(lambda x, y: (min(x, 7 - x), min(y, 7 - y)) not in CORNERS)
CORE = shape(lambda x, y: 2 <= x <= 5 and 2 <= y <= 5)
BALL = shape(lambda x, y: 1 <= x <= 6 and 1 <= y <= 6 and not (x in (1, 6) and y in (1, 6)))
BAR = shape(lambda x, y: 2 <= y <= 5)                              # as many pixels as a ball
CROSS = shape(lambda x, y: abs(x - y) <= 1 or abs(x + y - 7) <= 1)
PLUS = shape(lambda x, y: 3 <= x <= 4 or 3 <= y <= 4)
GLYPH = [shape(lambda x, y, on=on: 2 <= x <= 4 and 1 <= y <= 5 and on[3 * (y - 1) + x - 2] == "#") for on in DIGITS]


def place_of(colour):
    return 1 + list(COLOURS).index(colour)


def layers_of(kind, colour, other):
    """What is drawn in a cell, one thing over the other: (shape, place in the palette)."""
    own = place_of(colour)
    if kind in ("box", "ring"):
        return [(FRAME if kind == "box" else ROUND, own), (CORE, place_of(other))]
    if kind in ("plate", "dark plate"):
        return [(FRAME, own), (GLYPH[other], WHITE if kind == "plate" else BLACK)]
    return [({"ball": BALL, "bar": BAR, "cross": CROSS, "plus": PLUS}[kind], own)]


def draw_cell(thing):
    """-> the rows of a cell, before noise"""
    pixels = [bytearray(CELL_PX) for _ in range(CELL_PX)]
    for mask, place in layers_of(*thing):
        for y, row in enumerate(mask):
            for x, inside in enumerate(row):
                if inside:
                    pixels[y][x] = place * LEVELS
    return [bytes(row) for row in pixels]


EMPTY = [bytes(CELL_PX)] * CELL_PX
drawn = {}                                                         # cells that were drawn before
NOISE_MASK = int.from_bytes((b"\0" + bytes([LEVELS - 1]) * SIDE_PX) * SIDE_PX, "little")


def cell_rows(thing):
    if thing not in drawn:
        drawn[thing] = draw_cell(thing)
    return drawn[thing]


def pixel_rows(things, name):
    """The rows of a picture as PNG has them: a 0, then a byte a pixel. things: {cell: (kind, colour, other)}"""
    rows = []
    for first in range(0, GRID * GRID, GRID):
        cells = [cell_rows(things[cell]) if cell in things else EMPTY for cell in range(first, first + GRID)]
        for y in range(CELL_PX):
            rows.append(b"\0" + b"".join(cell[y] for cell in cells))
    flat = b"".join(rows)
    noise = int.from_bytes(hashlib.shake_128(f"{name} noise".encode()).digest(len(flat)), "little") & NOISE_MASK
    return (int.from_bytes(flat, "little") + noise).to_bytes(len(flat), "little")


def palette():
    """Each colour in 16 degrees of brightness; the background varies most."""
    entries = bytearray()
    for colour in [(128, 128, 128), *COLOURS.values(), (245, 245, 245), (10, 10, 10)]:
        step = 8 if colour == (128, 128, 128) else 3
        for level in range(LEVELS):
            entries += bytes(max(0, min(255, value + step * level - step * (LEVELS - 1) // 2)) for value in colour)
    return bytes(entries)


PALETTE = chunk(b"PLTE", palette())


def png(rows):
    """Not compressed: noise would gain little, and versions of zlib differ in what they write."""
    stored = b"\x78\x01\x01" + struct.pack("<HH", len(rows), len(rows) ^ 0xFFFF) + rows
    return png_file(SIDE_PX, SIDE_PX, 8, 3, stored + struct.pack(">I", zlib.adler32(rows)), PALETTE)


def picture(things, name):
    return png(pixel_rows(things, name))
