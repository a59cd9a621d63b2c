#!/usr/bin/env python3
"""Writes tests/data/image: small pictures of every kind and what Pillow makes of them (as .ppm).

decode/NAME.EXT        the picture
decode/NAME.ppm        convert("RGB") after ImageOps.exif_transpose
decode/NAME.white.ppm  composited over white as transformers 5 does, if that differs
large/NAME             pictures of one colour, for tests with little memory
scaled/NAME_N.ppm      a JPEG decoded at 1/N of its sides
resize/WxH_to_WxH_FILTER.ppm   Image.resize of the noise below

and tests/fuzz/corpus/image: broken files, made by hand, that the decoders must refuse or survive.

Needs pillow (made with 13.0.0) and numpy. Usage: python3 tools/make_image_fixtures.py
"""
import io
import pathlib
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

from png_file import chunk, png_file

ROOT = pathlib.Path(__file__).resolve().parent.parent / "tests/data/image"


def noise(width, height, channels=3, seed=1):
    """The generator that tests/image/support.h repeats."""
    count, state, out = width * height * channels, seed, bytearray()
    for _ in range(count):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        out.append(state >> 24)
    return np.frombuffer(bytes(out), dtype=np.uint8).reshape(height, width, channels)


def smooth(width, height, channels=3):
    y, x = np.mgrid[0:height, 0:width]
    planes = [128 + 120 * np.sin(x / (5 + c) + y / (7 - c) + c) for c in range(channels)]
    return np.stack(planes, axis=2).astype(np.uint8)


def write_ppm(path, image):
    path.write_bytes(b"P6 %d %d 255\n" % image.size + image.tobytes())


def on_white(image):
    if image.mode == "RGB":
        return image
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, (255, 255, 255)), rgba).convert("RGB")


def decode_case(name, data):
    folder = ROOT / "decode"
    (folder / name).write_bytes(data)
    image = Image.open(io.BytesIO(data))
    image.load()
    image = ImageOps.exif_transpose(image)
    stem = name.replace(".", "_")
    plain, white = image.convert("RGB"), on_white(image)
    write_ppm(folder / f"{stem}.ppm", plain)
    if plain.tobytes() != white.tobytes():
        write_ppm(folder / f"{stem}.white.ppm", white)


def encoded(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def raw_png(width, height, depth, colour, rows, extra=b"", interlace=0):
    return png_file(width, height, depth, colour, zlib.compress(rows, 9), extra, interlace)


def png_rows(width, height, bits, seed):
    stride = (width * bits + 7) // 8
    data = noise(stride, height, 1, seed).reshape(height, stride)
    return b"".join(b"\0" + row.tobytes() for row in data)


def adam7_rows(picture):
    """Rows of an interlaced 8-bit picture, unfiltered."""
    out = b""
    for x0, y0, dx, dy in [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]:
        part = picture[y0::dy, x0::dx]
        if part.shape[1]:
            out += b"".join(b"\0" + row.tobytes() for row in part)
    return out


def tiff(orientation, kind=3, count=1, little=True):
    """An EXIF block whose only tag is Orientation, of a TIFF type that may be the wrong one."""
    order = "<" if little else ">"
    code = {1: "B", 2: "c", 3: "H", 4: "L", 5: "LL", 7: "B", 8: "h", 11: "f", 12: "d"}[kind]
    values = [str(orientation).encode()] if kind == 2 else [orientation, 1] if kind == 5 else [orientation]
    data = struct.pack(order + code * count, *values * count)
    where = data.ljust(4, b"\0") if len(data) <= 4 else struct.pack(order + "L", 26)
    head = (b"II*\0" if little else b"MM\0*") + struct.pack(order + "LHHHL", 8, 1, 0x0112, kind, count)
    return head + where + bytes(4) + (data if len(data) > 4 else b"")


def xmp(orientation, element=False):
    if element:
        return b"<rdf:Description><tiff:Orientation>%d</tiff:Orientation></rdf:Description>" % orientation
    return b'<rdf:Description tiff:Orientation="%d"/>' % orientation


def raw_profile(block, width=72):
    digits = (b"Exif\0\0" + block).hex().encode()
    lines = b"\n".join(digits[at:at + width] for at in range(0, len(digits), width))
    return b"\nexif\n%8d\n" % (6 + len(block)) + lines + b"\n"


def make_turned():
    """Orientation where files really have it. Pillow decides which counts."""
    plain = encoded(Image.fromarray(noise(7, 4)), "PNG")
    head, end = plain.index(b"IDAT") - 4, plain.index(b"IEND") - 4

    def png(name, *chunks, after=b""):
        decode_case(f"png_turned_{name}.png", plain[:head] + b"".join(chunks) + plain[head:end] + after + plain[end:])

    png("raw_profile", chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw_profile(tiff(6)))))
    png("raw_profile_text", chunk(b"tEXt", b"Raw profile type exif\0" + raw_profile(tiff(8, little=False), 71)))
    png("raw_profile_broken", chunk(b"tEXt", b"Raw profile type exif\0" + raw_profile(tiff(8))[:59]))
    png("raw_profile_app1", chunk(b"tEXt", b"Raw profile type APP1\0" + raw_profile(tiff(8))))
    png("exif_beside_raw_profile", chunk(b"eXIf", tiff(3)),
        chunk(b"tEXt", b"Raw profile type exif\0" + raw_profile(tiff(8))))
    png("exif_last", after=chunk(b"eXIf", tiff(5)))
    png("exif_text", chunk(b"tEXt", b"exif\0Exif\0\0" + tiff(7)))
    png("xmp", chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(6)))
    png("xmp_compressed", chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0en\0x\0" + zlib.compress(xmp(5, True))))
    png("xmp_last", after=chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(8)))
    png("xmp_beside_exif", chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(6)), chunk(b"eXIf", tiff(3)))
    png("xmp_beside_exif1", chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(6)), chunk(b"eXIf", tiff(1)))

    picture = encoded(Image.fromarray(smooth(19, 12)), "JPEG")

    def jpeg(name, *segments):
        body = b"".join(b"\xff\xe1" + struct.pack(">H", len(s) + 2) + s for s in segments)
        decode_case(f"jpeg_turned_{name}.jpg", picture[:20] + body + picture[20:])

    adobe = b"http://ns.adobe.com/xap/1.0/\0"
    jpeg("xmp", adobe + xmp(6))
    jpeg("xmp_element", adobe + xmp(8, True))
    jpeg("xmp_before_exif", adobe + xmp(6), b"Exif\0\0" + tiff(3))
    jpeg("xmp_beside_text", adobe + xmp(6), b"Exif\0\0" + tiff(8, kind=2))
    jpeg("xmp_beside_broken", adobe + xmp(6), b"Exif\0\0damaged!")
    jpeg("xmp_beside_empty", adobe + xmp(6), b"Exif\0\0")
    jpeg("xmp_9", adobe + xmp(9))
    jpeg("exif_in_two", b"Exif\0\0" + tiff(6)[:20], b"Exif\0\0" + tiff(6)[20:])
    for name, kind, count in [("byte", 1, 1), ("ascii", 2, 1), ("long", 4, 1), ("rational", 5, 1), ("undefined", 7, 1),
                              ("signed", 8, 1), ("float", 11, 1), ("double", 12, 1), ("two", 3, 2), ("three", 3, 3)]:
        for order in ("little", "big"):
            block = tiff(6, kind, count, order == "little")
            jpeg(f"{name}_{order}", b"Exif\0\0" + block, adobe + xmp(8))
    webp = dict(lossless=True, quality=0)
    turned = Image.fromarray(noise(7, 4))
    decode_case("webp_turned_xmp.webp", encoded(turned, "WEBP", xmp=xmp(6), **webp))
    decode_case("webp_turned_xmp_beside_exif.webp", encoded(turned, "WEBP", xmp=xmp(6), exif=tiff(8), **webp))


def make_png():
    colours = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
    kinds = [(0, d) for d in (1, 2, 4, 8, 16)] + [(3, d) for d in (1, 2, 4, 8)] + [(c, d) for c in (2, 4, 6) for d in (8, 16)]
    for colour, depth in kinds:
        palette = chunk(b"PLTE", noise(2**depth, 1, 3, 7).tobytes()) if colour == 3 else b""
        rows = png_rows(13, 9, depth * colours[colour], 3 + depth)
        decode_case(f"png_c{colour}_d{depth}.png", raw_png(13, 9, depth, colour, rows, palette))
    palette = chunk(b"PLTE", noise(256, 1, 3, 7).tobytes())
    rows = png_rows(13, 9, 8, 5)
    decode_case("png_palette_clear.png", raw_png(13, 9, 8, 3, rows, palette + chunk(b"tRNS", bytes(range(0, 256, 2)))))
    decode_case("png_palette_short.png", raw_png(4, 1, 8, 3, b"\0\0\1\2\0", chunk(b"PLTE", bytes(range(9)))))
    grey = bytes([0]) + bytes(range(13))
    decode_case("png_grey_clear.png", raw_png(13, 1, 8, 0, grey, chunk(b"tRNS", struct.pack(">H", 5))))
    wide = bytes([0]) + struct.pack(">6H", 0, 5, 255, 256, 1000, 65535)
    decode_case("png_grey16_clear.png", raw_png(6, 1, 16, 0, wide, chunk(b"tRNS", struct.pack(">H", 1000))))
    rgb = bytes([0]) + noise(5, 1).tobytes()
    decode_case("png_rgb_clear.png", raw_png(5, 1, 8, 2, rgb, chunk(b"tRNS", struct.pack(">3H", *rgb[4:7]))))
    gamma = chunk(b"gAMA", struct.pack(">I", 100000))
    decode_case("png_gamma.png", raw_png(13, 9, 8, 2, png_rows(13, 9, 24, 2), gamma))
    for channels, colour in [(3, 2), (4, 6), (1, 0)]:
        rows = adam7_rows(noise(13, 9, channels, 4))
        decode_case(f"png_interlaced_c{colour}.png", raw_png(13, 9, 8, colour, rows, interlace=1))
    exif = Image.Exif()
    exif[0x0112] = 6
    decode_case("png_exif6.png", encoded(Image.fromarray(noise(7, 4)), "PNG", exif=exif))


def make_jpeg():
    picture = Image.fromarray(smooth(45, 31))
    for name, sampling in [("444", 0), ("422", 1), ("420", 2)]:
        decode_case(f"jpeg_{name}.jpg", encoded(picture, "JPEG", quality=80, subsampling=sampling))
    decode_case("jpeg_progressive.jpg", encoded(picture, "JPEG", quality=85, progressive=True))
    decode_case("jpeg_restart.jpg", encoded(picture, "JPEG", quality=85, restart_marker_blocks=3))
    decode_case("jpeg_rgb.jpg", encoded(picture, "JPEG", quality=85, keep_rgb=True))
    decode_case("jpeg_grey.jpg", encoded(picture.convert("L"), "JPEG", quality=85))
    decode_case("jpeg_one_pixel.jpg", encoded(picture.crop((3, 3, 4, 4)), "JPEG"))
    cmyk = Image.fromarray(smooth(45, 31, 4), "CMYK")
    data = encoded(cmyk, "JPEG", quality=85)
    decode_case("jpeg_cmyk.jpg", data)
    # Without Adobe's marker.
    at = data.index(b"\xff\xee")
    length = struct.unpack(">H", data[at + 2:at + 4])[0]
    decode_case("jpeg_cmyk_plain.jpg", data[:at] + data[at + 2 + length:])
    # Adobe's transform 2: the same components read as YCCK.
    at = data.index(b"Adobe") + 11
    decode_case("jpeg_ycck.jpg", data[:at] + b"\2" + data[at + 1:])
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        decode_case(f"jpeg_exif{orientation}.jpg", encoded(Image.fromarray(smooth(19, 12)), "JPEG", exif=exif))
    tiff = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x08\0\0\0\0\0\0\0"
    decode_case("jpeg_exif8_little.jpg", encoded(Image.fromarray(smooth(19, 12)), "JPEG", exif=tiff))


def make_webp():
    picture, clear = Image.fromarray(smooth(33, 21)), Image.fromarray(smooth(33, 21, 4))
    decode_case("webp_lossy.webp", encoded(picture, "WEBP", quality=80))
    decode_case("webp_lossless.webp", encoded(picture, "WEBP", lossless=True))
    decode_case("webp_lossy_alpha.webp", encoded(clear, "WEBP", quality=80))
    decode_case("webp_lossless_alpha.webp", encoded(clear, "WEBP", lossless=True, exact=True))
    exif = Image.Exif()
    exif[0x0112] = 5
    decode_case("webp_exif5.webp", encoded(picture, "WEBP", lossless=True, exif=exif))
    frames = [clear, Image.fromarray(noise(33, 21, 4))]
    decode_case("webp_animated.webp", encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True))
    decode_case("webp_animated_lossy.webp", encoded(picture, "WEBP", save_all=True, append_images=[frames[1].convert("RGB")]))


def lzw(pixels, bits):
    """Codes without compression: the table is cleared before it would grow a bit wider."""
    clear, codes, since = 1 << bits, [], 0
    for pixel in pixels:
        if since % (clear - 2) == 0:
            codes.append(clear)
        codes.append(int(pixel))
        since += 1
    codes.append(clear + 1)
    value = sum(code << (i * (bits + 1)) for i, code in enumerate(codes))
    data = value.to_bytes((len(codes) * (bits + 1) + 7) // 8, "little")
    blocks = [data[i:i + 255] for i in range(0, len(data), 255)]
    return bytes([bits]) + b"".join(bytes([len(b)]) + b for b in blocks) + b"\0"


def raw_gif(screen, frame, pixels, palette=None, local=None, clear=None, interlaced=False, bits=3):
    def field(colours):
        return (0x80 | (len(colours) // 3).bit_length() - 2) if colours else 0

    out = b"GIF89a" + struct.pack("<HHBBB", *screen, field(palette), 0, 0) + (palette or b"")
    out += b"\x21\xfe\x03abc\0"
    if clear is not None:
        out += b"\x21\xf9\x04" + bytes([1, 0, 0, clear]) + b"\0"
    out += b"\x2c" + struct.pack("<HHHHB", *frame, field(local) | (0x40 if interlaced else 0)) + (local or b"")
    return out + lzw(pixels, bits) + b";"


def make_gif():
    eight = noise(8, 1, 3, 9).tobytes()
    pixels = (noise(7, 11, 1, 3) % 8).ravel()
    plain = dict(screen=(7, 11), frame=(0, 0, 7, 11), pixels=pixels)
    decode_case("gif_plain.gif", raw_gif(palette=eight, **plain))
    decode_case("gif_interlaced.gif", raw_gif(palette=eight, interlaced=True, **plain))
    decode_case("gif_local.gif", raw_gif(palette=eight, local=noise(8, 1, 3, 10).tobytes(), **plain))
    decode_case("gif_clear.gif", raw_gif(palette=eight, clear=3, **plain))
    decode_case("gif_no_palette.gif", raw_gif(clear=2, **plain))
    decode_case("gif_short_palette.gif", raw_gif(palette=eight[:12], **plain))
    offset = dict(screen=(10, 15), frame=(2, 3, 7, 11), pixels=pixels)
    decode_case("gif_offset.gif", raw_gif(palette=eight, **offset))
    decode_case("gif_offset_clear.gif", raw_gif(palette=eight, clear=5, **offset))
    decode_case("gif_outside.gif", raw_gif((8, 8), (2, 3, 7, 11), pixels, palette=eight))
    frames = [Image.fromarray(noise(16, 12, 3, s)).quantize(32) for s in (1, 2)]
    decode_case("gif_animated.gif", encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    decode_case("gif_compressed.gif", encoded(Image.fromarray(smooth(64, 48)).quantize(64), "GIF"))


def raw_bmp(width, height, bits, data, palette=b"", compression=0, masks=b"", header=40):
    if header == 12:
        head = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        head = struct.pack("<IiiHHIIiiII", header, width, height, 1, bits, compression, len(data), 0, 0, len(palette) // 4, 0)
        head += (masks + bytes(200))[:header - 40] if header > 40 else masks
    at = 14 + len(head) + len(palette)
    return b"BM" + struct.pack("<IHHI", at + len(data), 0, 0, at) + head + palette + data


def make_bmp():
    def rows(width, bits, seed=5):
        return noise((width * bits + 31) // 32 * 4, 6, 1, seed).tobytes()

    def palette(count):
        return b"".join(bytes(c) + b"\0" for c in noise(count, 1, 3, 8)[0].tolist())

    for bits, count in [(1, 2), (4, 16), (8, 256), (8, 20), (16, 0), (24, 0), (32, 0)]:
        decode_case(f"bmp_{bits}_{count}.bmp", raw_bmp(11, 6, bits, rows(11, bits), palette(count)))
    decode_case("bmp_top_down.bmp", raw_bmp(11, -6, 24, rows(11, 24)))
    decode_case("bmp_565.bmp", raw_bmp(11, 6, 16, rows(11, 16), compression=3, masks=struct.pack("<3I", 0xF800, 0x7E0, 0x1F)))
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    decode_case("bmp_bgra.bmp", raw_bmp(11, 6, 32, rows(11, 32), compression=3, masks=masks, header=108))
    masks = struct.pack("<3I", 0xFF000000, 0xFF0000, 0xFF00)
    decode_case("bmp_xbgr.bmp", raw_bmp(11, 6, 32, rows(11, 32), compression=3, masks=masks))
    old = noise(256, 1, 3, 8).tobytes()
    decode_case("bmp_os2.bmp", raw_bmp(11, 6, 8, rows(11, 8), old, header=12))
    runs = bytes([3, 1, 2, 2, 0, 0, 0, 5, 0, 1, 2, 3, 1, 0, 0, 0, 5, 4, 0, 1])
    decode_case("bmp_rle8.bmp", raw_bmp(5, 3, 8, runs, palette(6), compression=1))
    runs = bytes([5, 0x12, 0, 0, 0, 5, 0x01, 0x23, 0x10, 0, 0, 0, 2, 0x45, 3, 0x30, 0, 1])
    decode_case("bmp_rle4.bmp", raw_bmp(5, 3, 4, runs, palette(6), compression=2))


def make_large():
    picture = Image.new("RGB", (1200, 1000), (10, 120, 200))
    clear = Image.new("RGBA", picture.size, (10, 120, 200, 128))
    second = Image.new("RGBA", picture.size, (0, 0, 0, 255))
    files = {"jpeg.jpg": encoded(picture, "JPEG", quality=20),
             "jpeg_progressive.jpg": encoded(picture, "JPEG", quality=20, progressive=True),
             "png.png": encoded(picture, "PNG"), "png_alpha.png": encoded(clear, "PNG"),
             "webp_lossy.webp": encoded(picture, "WEBP", quality=20),
             "webp_lossless.webp": encoded(clear, "WEBP", lossless=True),
             "webp_animated.webp": encoded(clear, "WEBP", save_all=True, append_images=[second], lossless=True),
             "gif.gif": encoded(picture.quantize(2), "GIF")}
    for name, data in files.items():
        (ROOT / "large" / name).write_bytes(data)


def make_scaled():
    for name in ("jpeg_420.jpg", "jpeg_grey.jpg", "jpeg_cmyk.jpg"):
        for scale in (2, 4, 8):
            image = Image.open(ROOT / "decode" / name)
            image.draft(image.mode, (image.width // scale, image.height // scale))
            write_ppm(ROOT / "scaled" / f"{name.split('.')[0]}_{scale}.ppm", image.convert("RGB"))


def patched(data, at, new):
    return data[:at] + new + data[at + len(new):]


def broken_jpeg():
    picture = encoded(Image.fromarray(smooth(45, 31)), "JPEG", quality=80)
    progressive = encoded(Image.fromarray(smooth(45, 31)), "JPEG", quality=80, progressive=True)
    frame, scan = picture.index(b"\xff\xc0"), progressive.index(b"\xff\xda")
    yield "no_rows", patched(picture, frame + 5, b"\0\0")
    yield "no_columns", patched(picture, frame + 7, b"\0\0")
    yield "huge", patched(picture, frame + 5, b"\xff\xff\xff\xff")
    yield "claims_much", patched(picture, frame + 5, b"\x20\x20\x20\x20")
    yield "arithmetic", patched(picture, frame + 1, b"\xc9")
    yield "twelve_bits", patched(picture, frame + 4, b"\x0c")
    yield "five_components", patched(picture, frame + 9, b"\5")
    yield "no_tables", picture[:picture.index(b"\xff\xc4")] + picture[picture.index(b"\xff\xda"):]
    yield "no_end", picture[:-2]
    yield "half", picture[:len(picture) // 2]
    yield "first_scan_only", progressive[:progressive.index(b"\xff\xda", scan + 2)]
    end = progressive.index(b"\xff\xc4", scan)
    yield "thousands_of_scans", progressive[:scan] + progressive[scan:end] * 3000
    yield "only_magic", b"\xff\xd8\xff"
    yield "bare_markers", b"\xff\xd8" + b"\xff" * 50
    loop = b"Exif\0\0MM\0*\xff\xff\xff\xff"
    yield "exif_far_directory", encoded(Image.fromarray(smooth(9, 7)), "JPEG", exif=loop)
    adobe = b"http://ns.adobe.com/xap/1.0/\0"
    for name, segment in [("xmp_cut", adobe + b'<x tiff:Orientation="'), ("xmp_many", adobe + b"tiff:Orientation" * 900),
                          ("exif_data_outside", b"Exif\0\0" + patched(tiff(6, 5), 18, b"\xff" * 4)),
                          ("exif_many_values", b"Exif\0\0" + patched(tiff(6, 5), 14, b"\xff" * 4))]:
        yield name, picture[:20] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + picture[20:]
    many = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\3\0\1\0\0\0\x63\0\0\0"
    yield "exif_many_entries", encoded(Image.fromarray(smooth(9, 7)), "JPEG", exif=many)


def broken_png():
    rows = png_rows(13, 9, 24, 2)
    good = raw_png(13, 9, 8, 2, rows)
    yield "no_rows", raw_png(13, 0, 8, 2, rows)
    yield "huge", raw_png(0x7FFFFFFF, 0x7FFFFFFF, 8, 2, rows)
    yield "claims_much", raw_png(9000, 9000, 8, 2, rows)
    yield "bomb", raw_png(1000, 1000, 8, 2, bytes(3001 * 1000))
    yield "bomb_after_the_picture", raw_png(2, 1, 8, 0, bytes(5_000_000))
    yield "too_few_rows", raw_png(13, 90, 8, 2, rows)
    yield "bad_crc", patched(good, 29, b"\1\2\3\4")
    yield "bad_idat_crc", patched(good, len(good) - 16, b"\1\2\3\4")
    yield "no_palette", raw_png(13, 9, 8, 3, png_rows(13, 9, 8, 2))
    yield "long_palette", raw_png(13, 9, 1, 3, png_rows(13, 9, 1, 2), chunk(b"PLTE", bytes(768)))
    yield "depth_3", raw_png(13, 9, 3, 0, rows)
    yield "bad_filter", raw_png(13, 9, 8, 2, b"\x09" + rows[1:])
    yield "bad_zlib", good[:45] + bytes(len(good) - 45)
    yield "no_data", raw_png(13, 9, 8, 2, b"")
    yield "chunk_past_the_end", good[:33] + b"\x7f\xff\xff\xffeXIf" + good[33:]
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(20_000_000)))
    yield "text_bomb", raw_png(13, 9, 8, 2, rows, text)
    profile = b"Raw profile type exif\0"
    for name, kind, data in [
            ("raw_profile_bomb", b"zTXt", profile + b"\0" + zlib.compress(bytes(20_000_000))),
            ("raw_profile_cut", b"zTXt", profile + b"\0" + zlib.compress(raw_profile(tiff(6)))[:25]),
            ("raw_profile_not_hex", b"tEXt", profile + b"\nexif\n 12\n45x"),
            ("raw_profile_no_lines", b"tEXt", profile + b"\nexif"),
            ("xmp_bomb", b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"tiff:Orientation " * 1_000_000)),
            ("xmp_no_language", b"iTXt", b"XML:com.adobe.xmp\0\1\0en"),
            ("text_without_keyword", b"tEXt", b"\0\0\0")]:
        yield name, raw_png(13, 9, 8, 2, rows, chunk(kind, data))
    yield "raw_profile_many", raw_png(13, 9, 8, 2, rows, chunk(b"zTXt", profile + b"\0" + zlib.compress(bytes(1 << 20))) * 70)
    yield "half", good[:len(good) // 2]


def broken_gif():
    pixels, palette = (noise(7, 11, 1, 3) % 8).ravel(), noise(8, 1, 3, 9).tobytes()
    good = raw_gif((7, 11), (0, 0, 7, 11), pixels, palette=palette)
    frame = good.index(b"\x2c\0\0\0\0")
    yield "no_columns", patched(good, frame + 5, b"\0\0")
    yield "huge", patched(good, frame + 5, b"\xff\xff\xff\xff")
    yield "far_away", patched(good, frame + 1, b"\xff\xff\xff\xff")
    yield "claims_much", patched(good, frame + 5, b"\0\x20\0\x20")
    yield "code_size_12", patched(good, frame + 10, b"\x0c")
    yield "code_size_0", patched(good, frame + 10, b"\0")
    yield "bad_codes", patched(good, frame + 12, b"\xff" * 20)
    yield "no_frame", good[:frame] + b";"
    yield "half", good[:frame + 25]
    yield "unknown_record", patched(good, frame, b"\x55")
    yield "endless_extension", good[:frame] + b"\x21\xfe" + b"\xffx" * 200


def broken_bmp():
    rows = noise(36, 6, 1, 5).tobytes()
    good = raw_bmp(11, 6, 24, rows)
    yield "no_columns", patched(good, 18, b"\0\0\0\0")
    yield "negative_width", patched(good, 18, b"\xff\xff\xff\xff")
    yield "lowest_height", patched(good, 22, b"\0\0\0\x80")
    yield "huge", patched(good, 18, b"\xff\xff\xff\x7f\xff\xff\xff\x7f")
    yield "claims_much", patched(good, 18, b"\0\x20\0\0\0\x20\0\0")
    yield "pixels_past_the_end", patched(good, 10, b"\xff\xff\xff\xff")
    yield "pixels_in_the_header", patched(good, 10, b"\2\0\0\0")
    yield "bits_7", patched(good, 28, b"\7")
    yield "jpeg_inside", patched(good, 30, b"\4")
    yield "empty_masks", raw_bmp(11, 6, 32, rows * 2, compression=3, masks=bytes(12))
    yield "odd_masks", raw_bmp(11, 6, 32, rows * 2, compression=3, masks=struct.pack("<3I", 0xA5, 0xFF00, 0xFF0000))
    yield "header_of_3", patched(good, 14, b"\3\0\0\0")
    yield "many_colours", patched(raw_bmp(11, 6, 8, rows, bytes(16)), 46, b"\xff\xff\xff\xff")
    yield "rle_past_the_edge", raw_bmp(5, 3, 8, b"\xff\1" * 9 + b"\0\1", bytes(32), compression=1)
    yield "rle_jump", raw_bmp(5, 3, 8, b"\0\2\xff\xff\2\1\0\1", bytes(32), compression=1)
    yield "rle_no_end", raw_bmp(5, 3, 8, b"\2\1", bytes(32), compression=1)
    yield "half", good[:60]


def broken_webp():
    good = encoded(Image.fromarray(smooth(33, 21)), "WEBP", lossless=True)
    exif = Image.Exif()
    exif[0x0112] = 5
    extended = encoded(Image.fromarray(smooth(33, 21)), "WEBP", lossless=True, exif=exif)
    moving = encoded(Image.fromarray(smooth(33, 21)), "WEBP", save_all=True, append_images=[Image.fromarray(noise(33, 21))])
    canvas = extended.index(b"VP8X") + 12
    yield "huge", patched(extended, canvas, b"\xff" * 6)
    yield "other_canvas", patched(extended, canvas, b"\x05\0\0\x05\0\0")
    yield "huge_animation", patched(moving, moving.index(b"VP8X") + 12, b"\xff" * 6)
    yield "frame_outside", patched(moving, moving.index(b"ANMF") + 8, b"\xff\xff\xff\xff\xff\xff")
    yield "chunk_past_the_end", patched(good, 16, b"\xff\xff\xff\x7f")
    yield "bad_signature", patched(good, 20, b"\0")
    yield "half", good[:len(good) // 2]
    yield "half_animation", moving[:len(moving) // 2]


def make_corpus():
    folder = ROOT.parent.parent / "fuzz/corpus/image"
    folder.mkdir(parents=True, exist_ok=True)
    kinds = {"jpeg": broken_jpeg, "png": broken_png, "gif": broken_gif, "bmp": broken_bmp, "webp": broken_webp}
    for kind, cases in kinds.items():
        for name, data in cases():
            (folder / f"{kind}_{name}").write_bytes(data)


FILTERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}


def make_resize():
    cases = [((37, 29), (5, 7)), ((37, 29), (61, 43)), ((37, 29), (37, 11)), ((37, 29), (50, 29)), ((1, 29), (7, 13)),
             ((37, 1), (13, 5)), ((1, 1), (9, 4)), ((37, 29), (1, 1)), ((200, 150), (33, 24)), ((3, 2), (41, 37)),
             ((640, 427), (56, 37)), ((37, 29), (38, 28))]
    for before, after in cases:
        source = Image.fromarray(noise(*before))
        for name in FILTERS if before == (37, 29) else ["bicubic"]:
            result = source.resize(after, FILTERS[name])
            label = "%dx%d_to_%dx%d_%s" % (*before, *after, name)
            write_ppm(ROOT / "resize" / f"{label}.ppm", result)


if __name__ == "__main__":
    for folder in ("decode", "large", "scaled", "resize"):
        (ROOT / folder).mkdir(parents=True, exist_ok=True)
        for old_file in (ROOT / folder).iterdir():
            old_file.unlink()
    make_png()
    make_jpeg()
    make_turned()
    make_webp()
    make_gif()
    make_bmp()
    make_large()
    make_scaled()
    make_resize()
    make_corpus()
