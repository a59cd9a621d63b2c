#!/usr/bin/env python3
"""Write a llava-hf folder of LLaVA-1.5's shape with random bfloat16 weights, in shards.

For trying what only size shows: loading, memory, the answer of a 13.5 GB model on a small machine. The text that such a model
writes means nothing. Needs only the standard library.

    tools/make_random_checkpoint.py DIR --layers 32
    tools/make_random_checkpoint.py DIR --layers 1 --tower-layers 2 --p-mod 0    (a layer that keeps half of the vision rows)
"""
import argparse
import json
import os
import pathlib
import random
import shutil
import struct

from safetensors_file import safetensors_head

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOKENIZER = ROOT / "tests/data/golden/hf_llava15/checkpoint"
VOCAB, HIDDEN, INNER, TOWER, TOWER_INNER, PATCHES = 32064, 4096, 11008, 1024, 4096, 576
SHARD_BYTES = 5_000_000_000
BLOCK_VALUES = 1 << 20


def decoder_layer(layer):
    name = f"language_model.model.layers.{layer}."
    for part in ("q", "k", "v", "o"):
        yield name + f"self_attn.{part}_proj.weight", (HIDDEN, HIDDEN)
    yield name + "mlp.gate_proj.weight", (INNER, HIDDEN)
    yield name + "mlp.up_proj.weight", (INNER, HIDDEN)
    yield name + "mlp.down_proj.weight", (HIDDEN, INNER)
    yield name + "input_layernorm.weight", (HIDDEN,)
    yield name + "post_attention_layernorm.weight", (HIDDEN,)


def tower_layer(layer):
    name = f"vision_tower.vision_model.encoder.layers.{layer}."
    for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
        yield name + f"self_attn.{part}.weight", (TOWER, TOWER)
        yield name + f"self_attn.{part}.bias", (TOWER,)
    yield name + "mlp.fc1.weight", (TOWER_INNER, TOWER)
    yield name + "mlp.fc1.bias", (TOWER_INNER,)
    yield name + "mlp.fc2.weight", (TOWER, TOWER_INNER)
    yield name + "mlp.fc2.bias", (TOWER,)
    for norm in ("layer_norm1", "layer_norm2"):
        yield name + norm + ".weight", (TOWER,)
        yield name + norm + ".bias", (TOWER,)


def tensors(layers, tower_layers, routers):
    yield "language_model.model.embed_tokens.weight", (VOCAB, HIDDEN)
    for layer in range(layers):
        yield from decoder_layer(layer)
        if routers:
            yield f"language_model.model.layers.{layer}.router.weight", (1, HIDDEN)
    yield "language_model.model.norm.weight", (HIDDEN,)
    yield "language_model.lm_head.weight", (VOCAB, HIDDEN)
    yield "multi_modal_projector.linear_1.weight", (HIDDEN, TOWER)
    yield "multi_modal_projector.linear_1.bias", (HIDDEN,)
    yield "multi_modal_projector.linear_2.weight", (HIDDEN, HIDDEN)
    yield "multi_modal_projector.linear_2.bias", (HIDDEN,)
    tower = "vision_tower.vision_model."
    yield tower + "embeddings.class_embedding", (TOWER,)
    yield tower + "embeddings.patch_embedding.weight", (TOWER, 3, 14, 14)
    yield tower + "embeddings.position_embedding.weight", (PATCHES + 1, TOWER)
    for norm in ("pre_layrnorm", "post_layernorm"):
        yield tower + norm + ".weight", (TOWER,)
        yield tower + norm + ".bias", (TOWER,)
    for layer in range(tower_layers):
        yield from tower_layer(layer)


def count(shape):
    total = 1
    for size in shape:
        total *= size
    return total


def bfloat16_block(generator, scale):
    words = (struct.unpack("<I", struct.pack("<f", generator.uniform(-scale, scale)))[0] >> 16 for _ in range(BLOCK_VALUES))
    return struct.pack(f"<{BLOCK_VALUES}H", *words)


def write_shard(path, members, small, one):
    with open(path, "wb") as out:
        out.write(safetensors_head("BF16", {name: (shape, 2 * count(shape)) for name, shape in members}))
        for name, shape in members:
            block = one if "norm" in name and name.endswith("weight") else small
            left = 2 * count(shape)
            while left > 0:
                out.write(block[: min(left, len(block))])
                left -= min(left, len(block))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--tower-layers", type=int, default=24)
    parser.add_argument("--p-mod", type=float, metavar="SHIFT", help="give every layer a router, and the folder p-MoD's plan with this shift")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    for file in TOKENIZER.iterdir():
        if file.name not in ("config.json", "config.v5.json", "model.safetensors"):
            shutil.copy(file, args.folder)
    for name in ("preprocessor_config.json", "processor_config.json"):
        path = args.folder / name
        path.write_text(path.read_text().replace("56", "336"))

    shards, size = [[]], 0
    for name, shape in tensors(args.layers, args.tower_layers, args.p_mod is not None):
        if size + 2 * count(shape) > SHARD_BYTES:
            shards.append([])
            size = 0
        shards[-1].append((name, shape))
        size += 2 * count(shape)
    generator = random.Random(0)
    small, one = bfloat16_block(generator, 0.02), struct.pack("<H", 0x3F80) * BLOCK_VALUES
    weight_map = {}
    for number, members in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        print(f"writing {file}", flush=True)
        write_shard(args.folder / file, members, small, one)
        weight_map.update({name: file for name, _ in members})
    total = sum(os.path.getsize(args.folder / file) for file in set(weight_map.values()))
    (args.folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}))
    config = {
        "architectures": ["LlavaForConditionalGeneration"], "model_type": "llava", "image_token_index": 400, "pad_token_id": 401,
        "projector_hidden_act": "gelu", "vision_feature_layer": -2, "vision_feature_select_strategy": "default", "torch_dtype": "bfloat16",
        "text_config": {"model_type": "llama", "vocab_size": VOCAB, "max_position_embeddings": 4096, "rms_norm_eps": 1e-05,
                        "num_hidden_layers": args.layers, "torch_dtype": "bfloat16"},
        "vision_config": {"model_type": "clip_vision_model", "hidden_size": TOWER, "intermediate_size": TOWER_INNER, "num_hidden_layers": args.tower_layers,
                          "num_attention_heads": 16, "image_size": 336, "patch_size": 14, "projection_dim": 768, "vocab_size": 32000},
    }
    (args.folder / "config.json").write_text(json.dumps(config, indent=2))
    if args.p_mod is not None:
        (args.folder / "plan.json").write_text(json.dumps({"method": "p-mod", "shift": args.p_mod}))


if __name__ == "__main__":
    main()
