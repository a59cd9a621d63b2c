#!/usr/bin/env python3
"""Writes tests/data/packed: weights as other programs store codes of 8 and 4 bits.

Each folder holds config.json with a quantization_config, model.safetensors, and expected.safetensors: the numbers that the codes stand for, in float32.
compressed-tensors packs and unpacks its own folders. GPTQ and AWQ are packed here, from the published layouts: AutoGPTQ's QuantLinear.pack and AutoAWQ's
WQLinear_GEMM.from_linear. The folders llava_* hold the products of the decoder of tests/data/golden/hf_llava15 and nothing else.

Needs torch, numpy, safetensors and compressed-tensors. Usage: python3 tools/make_packed_fixtures.py tests/data/packed
"""

import argparse
import json
import pathlib

import numpy as np
import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationConfig, QuantizationScheme
from compressed_tensors.quantization.utils import calculate_qparams
from safetensors.torch import load_file, save_file

GOLDEN = pathlib.Path(__file__).parent.parent / "tests/data/golden/hf_llava15/checkpoint/model.safetensors"


def matrices(shapes, seed):
    rng = np.random.default_rng(seed)
    return {name: torch.from_numpy(rng.standard_normal(shape).astype(np.float32) + 0.3) for name, shape in shapes.items()}


def decoder(skips=()):
    """The golden model's products, by the names of their modules."""
    tensors = load_file(GOLDEN)
    kept = {name.removesuffix(".weight"): tensor for name, tensor in tensors.items() if "layers" in name and name.endswith("_proj.weight")}
    return {name: tensor for name, tensor in kept.items() if name.startswith("language_model") and not name.endswith(tuple(skips))}


def save(folder, settings, packed, expected):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"quantization_config": settings}, indent=1) + "\n")
    save_file({name: tensor.contiguous() for name, tensor in packed.items()}, folder / "model.safetensors")
    if expected:
        save_file({name + ".weight": tensor.contiguous() for name, tensor in expected.items()}, folder / "expected.safetensors")


# compressed-tensors


def grouped(weight, args):
    """[out, groups, columns]"""
    size = args.group_size if args.strategy == "group" else weight.shape[1]
    return weight.reshape(weight.shape[0], -1, size)


def compressed(form, weights, scale_type, args):
    scheme = QuantizationScheme(targets=["Linear"], weights=args, format=form)
    compressor = BaseCompressor.get_value_from_registry(form)
    packed, expected = {}, {}
    for name, weight in weights.items():
        parts = grouped(weight, args)
        scale, zero = calculate_qparams(parts.amin(-1), parts.amax(-1), args)
        state = {"weight": weight, "weight_scale": scale.to(scale_type), "weight_zero_point": zero.to(torch.int8)}
        state = compressor.compress({**state, "weight_scale": state["weight_scale"].float()}, scheme)
        state["weight_scale"] = scale.to(scale_type)
        wide = {**state, "weight_scale": state["weight_scale"].float()}  # it multiplies in the type of the scale
        expected[name] = compressor.decompress(wide, scheme)["weight"]
        packed.update({f"{name}.{part}": tensor for part, tensor in state.items()})
    config = QuantizationConfig(config_groups={"group_0": scheme}, format=form, quantization_status="compressed")
    return json.loads(config.model_dump_json()), packed, expected


def args_of(bits, group, symmetric):
    strategy = {"strategy": "channel"} if group is None else {"strategy": "group", "group_size": group}
    return QuantizationArgs(num_bits=bits, type="int", symmetric=symmetric, **strategy)


# GPTQ and AWQ, in numpy. Codes and zeros count from 0.


def codes_of(weight, bits, groups_of_columns, symmetric):
    """-> codes [out, in], scales [groups, out] float16, zeros [groups, out]; column i is in group groups_of_columns[i]"""
    top, weight = 2**bits - 1, weight.numpy()
    count = groups_of_columns.max() + 1
    scales = np.empty((count, weight.shape[0]), np.float16)
    zeros = np.empty((count, weight.shape[0]), np.int64)
    codes = np.empty(weight.shape, np.int64)
    for group in range(count):
        columns = groups_of_columns == group
        part = weight[:, columns]
        low, high = np.minimum(part.min(1), -1e-3), np.maximum(part.max(1), 1e-3)
        if symmetric:
            high = np.maximum(-low, high)
            low = -high
        scales[group] = (high - low) / top
        scale = scales[group].astype(np.float32)
        zeros[group] = (top + 1) // 2 if symmetric else np.clip(np.round(-low / scale), 1, top)
        codes[:, columns] = np.clip(np.round(part / scale[:, None]) + zeros[group][:, None], 0, top)
    return codes, scales, zeros


def wide_of(codes, scales, zeros, groups_of_columns):
    scale, zero = scales.astype(np.float32).T[:, groups_of_columns], zeros.T[:, groups_of_columns]
    return torch.from_numpy(scale * (codes - zero).astype(np.float32))


def words(values, bits, order=None):
    """Packs neighbours of the last axis into int32. Place i of a word holds neighbour order[i]."""
    in_word = 32 // bits
    places = values.reshape(*values.shape[:-1], -1, in_word).astype(np.uint32)
    packed = np.zeros(places.shape[:-1], np.uint32)
    for i in range(in_word):
        packed |= places[..., order[i] if order else i] << np.uint32(bits * i)
    return torch.from_numpy(packed.view(np.int32))


def gptq(weights, bits, group, form="gptq", symmetric=False, act_order=False):
    packed, expected = {}, {}
    rng = np.random.default_rng(7)
    for name, weight in weights.items():
        width = weight.shape[1]
        size = width if group == -1 else group
        index = np.arange(width) // size
        if act_order:
            index = rng.permutation(index)
        codes, scales, zeros = codes_of(weight, bits, index, symmetric)
        expected[name] = wide_of(codes, scales, zeros, index)
        stored = zeros - 1 if form == "gptq" else zeros
        packed.update({
            name + ".qweight": words(codes, bits).T, name + ".qzeros": words(stored, bits), name + ".scales": torch.from_numpy(scales),
            name + ".g_idx": torch.from_numpy(index.astype(np.int32)), name + ".bias": torch.zeros(weight.shape[0], dtype=torch.float16)})
    settings = {"quant_method": "gptq", "bits": bits, "group_size": group, "desc_act": act_order, "sym": symmetric, "checkpoint_format": form}
    return settings, packed, expected


def awq(weights, group, skipped=None):
    packed, expected = {}, {}
    for name, weight in weights.items():
        width = weight.shape[1]
        index = np.arange(width) // (width if group == -1 else group)
        codes, scales, zeros = codes_of(weight, 4, index, False)
        expected[name] = wide_of(codes, scales, zeros, index)
        order = [0, 2, 4, 6, 1, 3, 5, 7]
        packed.update({name + ".qweight": words(codes.T, 4, order), name + ".qzeros": words(zeros, 4, order),
                       name + ".scales": torch.from_numpy(scales)})
    settings = {"quant_method": "awq", "bits": 4, "group_size": group, "zero_point": True, "version": "gemm", "modules_to_not_convert": skipped}
    return settings, packed, expected


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    out = parser.parse_args().folder
    even = matrices({"a": (16, 256), "b": (8, 128)}, 1)
    odd = matrices({"a": (10, 45), "b": (3, 32)}, 2)  # words that are not full
    half, brain = torch.float16, torch.bfloat16
    save(out / "compressed_int4_group32", *compressed("pack-quantized", even, half, args_of(4, 32, True)))
    save(out / "compressed_int4_zeros", *compressed("pack-quantized", even, brain, args_of(4, 128, False)))
    save(out / "compressed_int4_rows", *compressed("pack-quantized", odd, torch.float32, args_of(4, None, True)))
    save(out / "compressed_int8_zeros", *compressed("pack-quantized", odd, half, args_of(8, None, False)))
    save(out / "compressed_int8_group64", *compressed("pack-quantized", even, brain, args_of(8, 64, True)))
    save(out / "compressed_bytes", *compressed("int-quantized", odd, torch.float32, args_of(8, None, True)))
    save(out / "compressed_bytes_zeros", *compressed("int-quantized", even, half, args_of(8, 32, False)))
    save(out / "gptq_int4_group64", *gptq(even, 4, 64))
    save(out / "gptq_int4_ragged", *gptq(matrices({"a": (8, 88)}, 3), 4, 32, symmetric=True))
    save(out / "gptq_int8_rows", *gptq(even, 8, -1, symmetric=True))
    save(out / "gptq_v2_int4_group128", *gptq(even, 4, 128, form="gptq_v2"))
    save(out / "gptq_act_order", *gptq(even, 4, 32, act_order=True))
    save(out / "awq_group128", *awq(even, 128))
    save(out / "awq_rows", *awq(even, -1))
    settings, packed, _ = compressed("pack-quantized", decoder(), half, args_of(4, None, False))
    save(out / "llava_compressed", settings, packed, None)
    settings, packed, _ = gptq(decoder(), 4, 32)
    save(out / "llava_gptq", settings, packed, None)
    settings, packed, _ = awq(decoder(skips=["down_proj"]), 32, ["down_proj"])
    save(out / "llava_awq", settings, packed, None)


if __name__ == "__main__":
    main()
