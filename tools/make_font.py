#!/usr/bin/env python3
"""Writes src/image/font/dejavu_sans.bin: DejaVu Sans drawn once at the sizes that heat maps use, so that neither a font
nor a font library is needed where Lithe runs.

The file is one zlib stream of little-endian numbers. Per size: u16 ascent, u16 descent, u32 glyphs; per glyph, ascending:
u32 character, i16 left, i16 top (from the pen on the base line, y downwards), u8 width, u8 height, u8 advance, then
width * height coverages 0..15, two a byte, the first in the low half, rows one after another.

Needs pillow (made with 13.0.0) and DejaVuSans.ttf (Debian: fonts-dejavu-core).
Usage: python3 tools/make_font.py [/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf]
"""
import pathlib
import struct
import sys
import zlib

from PIL import Image, ImageDraw, ImageFont

OUT = pathlib.Path(__file__).resolve().parent.parent / "src/image/font/dejavu_sans.bin"
LATIN = [(0x20, 0x7E), (0xA0, 0x17F), (0x2010, 0x2027), (0xFFFD, 0xFFFD)]
EVERYTHING = [(0x20, 0x7E), (0xA0, 0x24F), (0x2B0, 0x5FF), (0x600, 0x6FF), (0xE3F, 0xE3F), (0x10A0, 0x10FF),
              (0x1E00, 0x1FFF), (0x2010, 0x2027), (0x2030, 0x205E), (0x2070, 0x209C), (0x20A0, 0x20BF),
              (0x2100, 0x218F), (0x2190, 0x22FF), (0x25A0, 0x25FF), (0x2600, 0x26FF), (0x2713, 0x2718),
              (0xFFFD, 0xFFFD)]
SIZES = [(12, LATIN), (15, EVERYTHING), (22, LATIN)]


def glyph_of(font, character):
    left, top, right, bottom = font.getbbox(character, anchor="ls")
    width, height = max(right - left, 0), max(bottom - top, 0)
    cover = Image.new("L", (max(width, 1), max(height, 1)))
    ImageDraw.Draw(cover).text((-left, -top), character, 255, font=font, anchor="ls")
    values = [min((value + 8) // 17, 15) for value in cover.tobytes()] if width * height else []
    values += [0] * (len(values) % 2)
    packed = bytes(a | b << 4 for a, b in zip(values[::2], values[1::2]))
    advance = round(font.getlength(character))
    return struct.pack("<IhhBBB", ord(character), left, top, width, height, advance) + packed


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
    out = b""
    for size, ranges in SIZES:
        font = ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
        missing = bytes(font.getmask("\U0010FFFE"))
        glyphs = []
        for first, last in ranges:
            for code in range(first, last + 1):
                known = bytes(font.getmask(chr(code))) != missing or code == 0x20 or code == 0xA0
                if known:
                    glyphs.append(glyph_of(font, chr(code)))
        ascent, descent = font.getmetrics()
        out += struct.pack("<HHI", ascent, descent, len(glyphs)) + b"".join(glyphs)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_bytes(zlib.compress(out, 9))
    print(f"{len(out)} bytes, {OUT.stat().st_size} written")


if __name__ == "__main__":
    main()
