#!/usr/bin/env python3
"""Writes src/image/font/letters.bin: letters drawn once at the sizes that heat maps use, so that neither a font nor a font
library is needed where Lithe runs. DejaVu Sans draws most scripts, Droid Sans Fallback the Chinese and Japanese ones,
NanumGothic the Korean one: of the last three, the characters of GB 2312, Big5 (level 1), JIS X 0208 and KS X 1001.

The file is one zlib stream of little-endian numbers. Per size: u16 ascent, u16 descent, u32 glyphs; per glyph, ascending:
u32 character, i16 left, i16 top (from the pen on the base line, y downwards), u8 width, u8 height, u8 advance, then
width * height coverages 0..15, two a byte, the first in the low half, rows one after another.

Needs pillow (made with 13.0.0) and three fonts (Debian: fonts-dejavu-core, fonts-droid-fallback, fonts-nanum).
Usage: python3 tools/make_font.py [/usr/share/fonts/truetype]
"""
import pathlib
import struct
import sys
import zlib

from PIL import Image, ImageDraw, ImageFont

OUT = pathlib.Path(__file__).resolve().parent.parent / "src/image/font/letters.bin"
DEJAVU, DROID, NANUM = "dejavu/DejaVuSans.ttf", "droid/DroidSansFallbackFull.ttf", "nanum/NanumGothic.ttf"


def characters(*ranges):
    return [chr(code) for first, last in ranges for code in range(first, last + 1)]


def is_common_han(character):
    """Whether it is in GB 2312, in the frequent half of Big5 or in JIS X 0208."""
    big5 = character.encode("big5", "ignore")
    frequent = len(big5) == 2 and 0xA4 <= big5[0] <= 0xC6
    return bool(frequent or character.encode("gb2312", "ignore") or character.encode("shift_jis", "ignore"))


LATIN = characters((0x20, 0x7E), (0xA0, 0x17F), (0x2010, 0x2027), (0xFFFD, 0xFFFD))
MANY_SCRIPTS = characters((0x20, 0x7E), (0xA0, 0x24F), (0x2B0, 0x5FF), (0x600, 0x6FF), (0xE3F, 0xE3F), (0x10A0, 0x10FF),
                          (0x1E00, 0x1FFF), (0x2010, 0x2027), (0x2030, 0x205E), (0x2070, 0x209C), (0x20A0, 0x20BF),
                          (0x2100, 0x218F), (0x2190, 0x22FF), (0x25A0, 0x25FF), (0x2600, 0x26FF), (0x2713, 0x2718),
                          (0xFFFD, 0xFFFD))
KANA = characters((0x3000, 0x30FF), (0x3105, 0x312F), (0xFF01, 0xFF60), (0xFFE0, 0xFFE6))
HAN = [character for character in characters((0x4E00, 0x9FFF)) if is_common_han(character)]
HANGUL = [character for character in characters((0xAC00, 0xD7A3)) if len(character.encode("euc_kr")) == 2]
# The first font of a size gives its line height.
SIZES = [(12, [(DEJAVU, LATIN)]), (15, [(DEJAVU, MANY_SCRIPTS), (DROID, KANA + HAN), (NANUM, HANGUL)]), (22, [(DEJAVU, LATIN)])]


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


def glyphs_of(font, wanted):
    missing = bytes(font.getmask("\U0010FFFE"))
    known = [character for character in wanted if bytes(font.getmask(character)) != missing or character in "\x20\xA0\u3000"]
    return {character: glyph_of(font, character) for character in known}


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "/usr/share/fonts/truetype")
    out = b""
    for size, parts in SIZES:
        fonts = [ImageFont.truetype(folder / path, size, layout_engine=ImageFont.Layout.BASIC) for path, _ in parts]
        glyphs = {}
        for font, (_, wanted) in zip(fonts, parts):
            glyphs |= {character: glyph for character, glyph in glyphs_of(font, wanted).items() if character not in glyphs}
        out += struct.pack("<HHI", *fonts[0].getmetrics(), len(glyphs))
        out += b"".join(glyph for _, glyph in sorted(glyphs.items()))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_bytes(zlib.compress(out, 9))
    print(f"{len(out)} bytes, {OUT.stat().st_size} written")


if __name__ == "__main__":
    main()
