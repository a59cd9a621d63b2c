"""Reads and writes safetensors with the standard library alone."""

import json
import struct
from array import array

KINDS = {"F16": ("e", "f"), "F32": ("f", "f"), "I64": ("q", "q")}     # dtype: letters of the file's and of our numbers


def read_safetensors(path, wanted=lambda name: True):
    """-> {name: (shape, numbers)} of the tensors whose names are wanted; the others are not read"""
    tensors = {}
    with open(path, "rb") as file:
        length, = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        for name, about in header.items():
            if wanted(name):
                begin, end = about["data_offsets"]
                code, own = KINDS[about["dtype"]]
                file.seek(8 + length + begin)
                count = (end - begin) // struct.calcsize(code)
                tensors[name] = (about["shape"], array(own, struct.unpack(f"<{count}{code}", file.read(end - begin))))
    return tensors


def safetensors_head(dtype, tensors):
    """What comes before the data. tensors: {name: (shape, bytes)}, in the order of the data"""
    header, offset = {}, 0
    for name, (shape, size) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def write_safetensors(path, tensors):
    """In float32, which a first training needs. tensors: {name: (shape, array of floats)}"""
    with open(path, "wb") as out:
        out.write(safetensors_head("F32", {name: (shape, 4 * len(values)) for name, (shape, values) in tensors.items()}))
        for _, values in tensors.values():
            out.write(values.tobytes())
