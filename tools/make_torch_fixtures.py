#!/usr/bin/env python3
"""Writes tests/data/io/torch: files as torch.save makes them, and hostile ones. Standard library only.

    python3 tools/make_torch_fixtures.py tests/data/io/torch

plain*.pth and lightning.ckpt hold the tensors of plain.safetensors. Every file under hostile/ must be refused; tests/io/torch_file_test.cpp says with which sentence.
"""

import argparse
import io
import json
import os
import pickle
import struct
import sys
import types
import warnings
import zipfile
from collections import OrderedDict

# Stand-ins under PyTorch's names: pickle writes a class as its module and name.
torch = types.ModuleType("torch")
torch._utils = types.ModuleType("torch._utils")
sys.modules.update({"torch": torch, "torch._utils": torch._utils})
lightning = types.ModuleType("pytorch_lightning.callbacks.model_checkpoint")
sys.modules.update({"pytorch_lightning": lightning, "pytorch_lightning.callbacks": lightning, lightning.__name__: lightning})
lightning.ModelCheckpoint = type("ModelCheckpoint", (), {"__module__": lightning.__name__})

FORMATS = {  # storage class: (struct code, safetensors dtype); None: raw 16-bit words
    "FloatStorage": ("f", "F32"), "DoubleStorage": ("d", "F64"), "HalfStorage": ("e", "F16"),
    "BFloat16Storage": (None, "BF16"), "LongStorage": ("q", "I64"), "IntStorage": ("i", "I32"),
    "ShortStorage": ("h", "I16"), "CharStorage": ("b", "I8"), "ByteStorage": ("B", "U8"), "BoolStorage": ("?", "BOOL"),
}
for _name in [*FORMATS, "ComplexFloatStorage"]:
    setattr(torch, _name, type(_name, (), {"__module__": "torch"}))


def _function(name):
    def stand_in(*_):
        raise AssertionError
    stand_in.__module__, stand_in.__name__, stand_in.__qualname__ = "torch._utils", name, name
    setattr(torch._utils, name, stand_in)
    return stand_in


rebuild_tensor = _function("_rebuild_tensor_v2")
rebuild_parameter = _function("_rebuild_parameter")
torch.jit = types.ModuleType("torch.jit")
torch.jit._pickle = types.ModuleType("torch.jit._pickle")
sys.modules.update({"torch.jit": torch.jit, "torch.jit._pickle": torch.jit._pickle})


def restore_type_tag(*_):
    raise AssertionError


restore_type_tag.__module__, restore_type_tag.__qualname__ = "torch.jit._pickle", "restore_type_tag"
torch.jit._pickle.restore_type_tag = restore_type_tag


class Storage:
    def __init__(self, kind, values, claimed=None, view=None):
        code, _ = FORMATS.get(kind, ("f", None))
        # bfloat16 is the upper half of a float32
        self.data = b"".join(struct.pack("<f", v)[2:] for v in values) if code is None else struct.pack(f"<{len(values)}{code}", *values)
        self.kind, self.count, self.key = getattr(torch, kind), len(values) if claimed is None else claimed, None
        self.width = len(self.data) // max(len(values), 1)
        self.view = view  # legacy: (key, offset, count)


class Tensor:
    def __init__(self, storage, offset, shape, strides=None):
        if strides is None:
            strides = [1] * len(shape)
            for i in range(len(shape) - 2, -1, -1):
                strides[i] = strides[i + 1] * max(shape[i + 1], 1)
        self.storage, self.offset, self.shape, self.strides = storage, offset, tuple(shape), tuple(strides)

    def __reduce__(self):
        return rebuild_tensor, (self.storage, self.offset, self.shape, self.strides, False, OrderedDict())

    def contiguous(self):
        places = [self.offset]
        for size, stride in zip(self.shape, self.strides):
            places = [place + i * stride for place in places for i in range(size)]
        width = self.storage.width
        return b"".join(self.storage.data[place * width:(place + 1) * width] for place in places)


class Parameter:
    def __init__(self, tensor):
        self.tensor = tensor

    def __reduce__(self):
        return rebuild_parameter, (self.tensor, True, OrderedDict())


class StateDict(OrderedDict):
    """An OrderedDict with an attribute, as Module.state_dict() returns it."""

    def __reduce__(self):
        return OrderedDict, (), {"_metadata": OrderedDict(version=1)}, None, iter(self.items())


def pickled(value, protocol=2, legacy=False):
    out, storages = io.BytesIO(), {}

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj):
            if not isinstance(obj, Storage):
                return None
            obj.key = obj.key or str(94000 + len(storages) if legacy else len(storages))
            storages[obj.key] = obj
            tail = (obj.view,) if legacy else ()
            return ("storage", obj.kind, obj.key, "cpu", obj.count) + tail

    Pickler(out, protocol=protocol).dump(value)
    for storage in storages.values():
        storage.key = None
    return out.getvalue(), storages


def zip_file(entries, method=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a hostile file has a name twice
        for name, data in entries:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()


def as_zip64(data):
    """The same archive with every size and offset of the directory in zip64 fields, as in files over 4 GiB."""
    end = len(data) - 22
    count, _, begin = struct.unpack_from("<HII", data, end + 10)
    directory, at = b"", begin
    for _ in range(count):
        packed, size, name_size = struct.unpack_from("<IIH", data, at + 20)
        offset = struct.unpack_from("<I", data, at + 42)[0]
        head = bytearray(data[at:at + 46])
        struct.pack_into("<II", head, 20, 0xFFFFFFFF, 0xFFFFFFFF)
        struct.pack_into("<H", head, 30, 28 + 6)
        struct.pack_into("<I", head, 42, 0xFFFFFFFF)
        other = struct.pack("<HHH", 0x7075, 2, 0)  # a field of another kind comes first
        directory += bytes(head) + data[at + 46:at + 46 + name_size] + other + struct.pack("<HHQQQ", 1, 24, size, packed, offset)
        at += 46 + name_size
    end64 = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, count, count, len(directory), begin)
    locator = struct.pack("<IIQI", 0x07064B50, 0, begin + len(directory), 1)
    tail = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 3) + b"end"
    return data[:begin] + directory + end64 + locator + tail


def entries_of(data, storages, byteorder=b"little"):
    head = [("archive/data.pkl", data), ("archive/byteorder", byteorder)]
    return head + [(f"archive/data/{key}", s.data) for key, s in storages.items()] + [("archive/version", b"3\n")]


def zip_of(value, protocol=2, method=zipfile.ZIP_STORED):
    return zip_file(entries_of(*pickled(value, protocol)), method)


MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)


def legacy_of(value, little_endian=True):
    data, storages = pickled(value, legacy=True)
    machine = {"protocol_version": 1001, "little_endian": little_endian, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = MAGIC + pickle.dumps(1001, protocol=2) + pickle.dumps(machine, protocol=2)
    body = b"".join(struct.pack("<q", s.count) + s.data for _, s in sorted(storages.items()))
    return head + data + pickle.dumps(sorted(storages), protocol=2) + body


def plain_tensors():
    six = Storage("FloatStorage", [0, 1, 2, 3, 4, 5])
    out = {kind: Tensor(Storage(kind, [0, 1, 1]), 0, [3]) for kind in FORMATS}
    out["matrix"] = Tensor(six, 0, [2, 3])
    out["transposed"] = Tensor(six, 0, [3, 2], [1, 3])
    out["tail"] = Tensor(six, 2, [4])
    out["expanded"] = Tensor(six, 1, [2, 3, 2], [0, 1, 1])
    out["scalar"] = Tensor(six, 5, [])
    out["empty"] = Tensor(six, 0, [0, 3])
    out["cube"] = Tensor(Storage("ShortStorage", list(range(24))), 0, [4, 2, 3], [1, 12, 4])
    return out


def safetensors_of(tensors):
    header, data = {}, b""
    for name, tensor in tensors.items():
        dtype = next(FORMATS[k][1] for k in FORMATS if getattr(torch, k) is tensor.storage.kind)
        bytes_ = tensor.contiguous()
        header[name] = {"dtype": dtype, "shape": tensor.shape, "data_offsets": [len(data), len(data) + len(bytes_)]}
        data += bytes_
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


class RestoreTypeTag:
    """A list with its type, as TorchScript writes it."""

    def __init__(self, values):
        self.values = values

    def __reduce__(self):
        return restore_type_tag, (self.values, "List[int]")


def script_module(name, **attributes):
    """An object of a class that only the code in the archive knows."""
    kind = type(name, (), {"__module__": "__torch__"})
    stand_in = sys.modules.setdefault("__torch__", types.ModuleType("__torch__"))
    setattr(stand_in, name, kind)
    module = kind()
    module.__dict__.update(training=False, _is_full_backward_hook=None, **attributes)
    return module


def script_file(module):
    """What torch.jit.save writes: modules instead of dicts, and their code."""
    data, storages = pickled(module)
    code = [("archive/code/__torch__/clip/model.py", b"class Clip(Module):\n  pass\n")]
    return zip_file(entries_of(data, storages) + code)


def script_files():
    tensors = plain_tensors()
    block = script_module("Block", sizes=RestoreTypeTag([1, 2]), **tensors)
    visual = script_module("Visual", resblocks=script_module("Sequential", **{"0": block}), class_embedding=tensors["tail"])
    cycle = script_module("Cycle")
    cycle.__dict__["self"] = cycle
    return {"script.pt": script_file(script_module("Clip", visual=visual, logit_scale=tensors["scalar"])),
            "hostile/script_cycle.pth": script_file(cycle),
            "hostile/script_without_tensors.pth": script_file(script_module("Empty"))}


def plain_files():
    tensors = plain_tensors()
    state = StateDict({name: Parameter(t) if name == "matrix" else t for name, t in tensors.items()})
    checkpoint = {
        "epoch": 3, "state_dict": state, "loss": 0.5, "none": None, "big": 2**70, "minus": -(2**40), "flags": [True, False],
        "callbacks": {lightning.ModelCheckpoint: {"best": "é"}},
        "hyper_parameters": argparse.Namespace(rate=1e-3, losses=["itm", ("mlm", 1)]), "set": {1},
    }
    base = Storage("FloatStorage", [9, 0, 1, 2])
    base.key = "77"
    view = Storage("FloatStorage", [9, 0, 1, 2], view=("78", 1, 3))
    view.key = "77"
    return {
        "plain.safetensors": safetensors_of(tensors),
        "plain.pth": zip_of(state),
        "plain_deflated.pth": zip_of(state, method=zipfile.ZIP_DEFLATED),
        "plain_zip64.pth": as_zip64(zip_of(state)),
        "plain_protocol4.pth": zip_of(state, protocol=4),
        "plain_legacy.pth": legacy_of(state),
        "lightning.ckpt": zip_of(checkpoint),
        "legacy_view.pth": legacy_of({"part": Tensor(view, 1, [2])}),
    }


# Hostile files.


def pickle_zip(data, method=zipfile.ZIP_STORED):
    """A zip whose pickle is given, with one storage of three floats."""
    return zip_file([("archive/data.pkl", data), ("archive/data/0", struct.pack("<3f", 1, 2, 3))], method)


def patched(data, at, packing, *values):
    out = bytearray(data)
    struct.pack_into(packing, out, at, *values)
    return bytes(out)


def central(data, name):
    """Where the directory's record of an entry begins."""
    return data.rindex(name) - 46


class Run:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def one(storage=None, offset=0, shape=(3,), strides=None):
    return zip_of({"w": Tensor(storage or Storage("FloatStorage", [1, 2, 3]), offset, shape, strides)})


def hostile_pickles():
    return {
        "os_system.pth": zip_of({"w": Run(os.system, "true")}),
        "os_system_legacy.pth": legacy_of({"w": Run(os.system, "true")}),
        "eval.pth": zip_of({"w": Run(eval, "1")}),
        "named_only.pth": zip_of({"w": os.system}),
        "dtype_called.pth": pickle_zip(b"\x80\x02}(X\x01\x00\x00\x00wctorch\nfloat32\n)Ru."),
        "complex.pth": zip_of({"w": Tensor(Storage("ComplexFloatStorage", [1, 2, 3]), 0, [3])}),
        "no_tensors.pth": zip_of({"epoch": 1}),
        "not_a_dict.pth": zip_of([1, 2]),
        "opcode.pth": pickle_zip(b"\x80\x02\x82\x01."),
        "protocol0.pth": pickle_zip(b"I1\n."),
        "cut_pickle.pth": pickle_zip(b"\x80\x02X\xff\xff\xff\x7fabc"),
        "no_stop.pth": pickle_zip(b"\x80\x02}"),
        "empty_stack.pth": pickle_zip(b"\x80\x02."),
        "across_mark.pth": pickle_zip(b"\x80\x02](K\x01a."),
        "no_mark.pth": pickle_zip(b"\x80\x02]u."),
        "no_memo.pth": pickle_zip(b"\x80\x02h\x07."),
        "odd_items.pth": pickle_zip(b"\x80\x02}(K\x01u."),
        "append_to_dict.pth": pickle_zip(b"\x80\x02}K\x01a."),
        "call_a_number.pth": pickle_zip(b"\x80\x02K\x01)R."),
        "deep_marks.pth": pickle_zip(b"\x80\x02" + b"(" * 20000 + b"."),
        "deep_lists.pth": pickle_zip(b"\x80\x02" + b"]" * 200000 + b"a" * 199999 + b".", zipfile.ZIP_DEFLATED),
        "cycle.pth": pickle_zip(b"\x80\x02]q\x00h\x00a."),
        # A Parameter whose argument is itself: its list of arguments gets it after the call.
        "parameter_cycle.pth": pickle_zip(b"\x80\x02}(X\x01\x00\x00\x00wctorch._utils\n_rebuild_parameter\n]q\x00Rq\x01h\x00h\x01a0u."),
        # A dict that takes its own entries as attributes doubles each time.
        "memo_bomb.pth": pickle_zip(b"\x80\x02}q\x00(K\x01K\x02u" + b"h\x00b" * 40 + b"."),
        "twice.pth": pickle_zip(twice_pickle()),
    }


def twice_pickle():
    data, _ = pickled({"a": Tensor(Storage("FloatStorage", [1, 2, 3]), 0, [3]), "b": 1})
    # The second key takes the first one's name and its value.
    return data.replace(b"X\x01\x00\x00\x00b", b"X\x01\x00\x00\x00a").replace(b"K\x01u.", memo_of_tensor(data) + b"u.")


def memo_of_tensor(data):
    end = data.index(b"X\x01\x00\x00\x00b")
    return b"h" + data[end - 1:end]  # BINPUT n stands right before


def hostile_tensors():
    return {
        "huge_storage.pth": one(Storage("FloatStorage", [1, 2, 3], claimed=2**61)),
        "huge_shape.pth": one(shape=(2**40, 2**40), strides=(1, 1)),
        "negative_size.pth": one(shape=(-3,), strides=(1,)),
        "negative_stride.pth": one(offset=2, shape=(3,), strides=(-1,)),
        "negative_offset.pth": one(offset=-1),
        "outside.pth": one(offset=1),
        "far_stride.pth": one(shape=(2,), strides=(2**62,)),
        "ranks.pth": one(shape=(3,), strides=(1, 1)),
        "many_dimensions.pth": one(shape=(1,) * 70, strides=(1,) * 70),
        "repeat_bomb.pth": one(shape=(2**40,), strides=(0,)),
        "text_size.pth": one(shape=("a",), strides=(1,)),
        "big_size.pth": one(shape=(2**70,), strides=(1,)),
    }


def hostile_zips():
    good = one()
    end = len(good) - 22
    storage = central(good, b"archive/data/0")
    body = entries_of(*pickled({"w": Tensor(Storage("FloatStorage", [1, 2, 3]), 0, [3])}))
    squeezed = zip_file(body, zipfile.ZIP_DEFLATED)
    packed = central(squeezed, b"archive/data/0")
    data = central(squeezed, b"archive/data.pkl")
    return {
        "truncated.pth": good[: len(good) // 2],
        "no_storage.pth": zip_file([entry for entry in body if not entry[0].endswith("data/0")]),
        "no_pickle.pth": zip_file([("archive/data/0", b"")]),
        "two_pickles.pth": zip_file(body + [("other/data.pkl", b"")]),
        "big_endian.pth": zip_file([body[0], ("archive/byteorder", b"big"), *body[2:]]),
        "traversal.pth": good.replace(b"archive/version", b"archive/../etc."),
        "absolute.pth": good.replace(b"archive/version", b"/rchive/version"),
        "duplicate.pth": zip_file(body + [body[0]]),
        "encrypted.pth": patched(good, storage + 8, "<H", 1),
        "method.pth": patched(good, storage + 10, "<H", 12),
        "stored_sizes.pth": patched(good, storage + 24, "<I", 99),
        "outside_zip.pth": patched(good, storage + 42, "<I", 1 << 30),
        "overlap.pth": patched(good, storage + 42, "<I", 0),
        "local_header.pth": patched(good, good.index(b"PK\3\4", 4), "<I", 0),
        "local_name.pth": patched(good, local_of(good, b"archive/data/0") + 26, "<H", 0xFFFF),
        "directory_outside.pth": patched(good, end + 16, "<I", 1 << 30),
        "directory_count.pth": patched(good, end + 10, "<H", 3),
        "directory_damaged.pth": patched(good, storage, "<I", 0),
        "directory_cut.pth": patched(good, storage + 30, "<H", 0xFFF0),
        "zip64_missing.pth": patched(good, storage + 20, "<II", 0xFFFFFFFF, 0xFFFFFFFF),
        "zip64_locator.pth": good[:end] + struct.pack("<IIQI", 0x07064B50, 0, 1 << 62, 1) + good[end:],
        "zip64_end.pth": zip64_end(good, end),
        "bomb.pth": patched(squeezed, packed + 24, "<I", 1 << 30),
        "inflates_to_more.pth": patched(squeezed, data + 24, "<I", 10),
        "inflates_to_less.pth": patched(squeezed, data + 24, "<I", 10000),
        "checksum.pth": patched(squeezed, data + 16, "<I", 1),
        "deflate_damaged.pth": patched(squeezed, squeezed.index(b"data.pkl") + 8, "<Q", 2**64 - 1),
    }


def local_of(data, name):
    return data.index(name) - 30


def zip64_end(good, end):
    """A zip64 end record whose directory is longer than the file."""
    record = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, 1, 1, 1 << 62, 1 << 62)
    return good[:end] + record + struct.pack("<IIQI", 0x07064B50, 0, end, 1) + good[end:]


def hostile_legacy():
    tensors = {"w": Tensor(Storage("FloatStorage", [1, 2, 3]), 0, [3])}
    good = legacy_of(tensors)
    count = len(good) - 12 - 8
    beyond = Storage("FloatStorage", [1, 2, 3], view=("5", 2, 2))
    return {
        "legacy_truncated.pth": good[:-4],
        "legacy_no_storage.pth": good[:count],
        "legacy_huge.pth": patched(good, count, "<q", 1 << 61),
        "legacy_negative.pth": patched(good, count, "<q", -1),
        "legacy_magic_only.pth": MAGIC,
        "legacy_version.pth": MAGIC + pickle.dumps(1002, protocol=2) + good[len(MAGIC) + 6:],
        "legacy_big_endian.pth": legacy_of(tensors, little_endian=False),
        "legacy_unknown_key.pth": good.replace(b"94000", b"94001", 1),
        "legacy_view_outside.pth": legacy_of({"w": Tensor(beyond, 0, [2])}),
        "not_torch.pth": b"GIF89a" + bytes(64),
        "empty.pth": b"",
    }


def main():
    root = sys.argv[1]
    hostile = {**hostile_pickles(), **hostile_tensors(), **hostile_zips(), **hostile_legacy()}
    for name, data in {**plain_files(), **script_files(), **{f"hostile/{name}": data for name, data in hostile.items()}}.items():
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)


if __name__ == "__main__":
    main()
