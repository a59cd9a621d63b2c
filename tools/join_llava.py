#!/usr/bin/env python3
"""Writes a LLaVA from which instruction tuning begins: a language model, and the projector of LLaVA's first stage.

  tools/join_llava.py ~/vicuna-7b-v1.5 ~/llava-projector ~/llava-1.5-start            pads pictures to a square, as LLaVA-1.5
  tools/join_llava.py ~/vicuna-7b-v1.5 ~/llava-projector ~/llava-next-start --anyres  cuts them into tiles, as LLaVA-NeXT

LANGUAGE_MODEL is a folder with config.json, tokenizer and shards with their index; PROJECTOR has mm_projector.bin. Both are
linked, not copied. The vision tower is named in config.json; put its folder beside OUT. Needs only the standard library.
"""
import argparse
import json
import pathlib
import random
import sys
from array import array

from safetensors_file import write_safetensors

INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
PROJECTOR = "mm_projector.bin"
NEWLINE = "image_newline.safetensors"
GRIDS = ((1, 2), (2, 1), (2, 2), (3, 1), (1, 3))      # tiles across and down

VISION = {
    "architectures": ["LlavaLlamaForCausalLM"],
    "model_type": "llava_llama",
    "conversation": "vicuna_v1",
    "mm_vision_tower": "openai/clip-vit-large-patch14-336",
    "mm_hidden_size": 1024,
    "mm_projector_type": "mlp2x_gelu",
    "mm_vision_select_layer": -2,
    "mm_vision_select_feature": "patch",
    "mm_use_im_start_end": False,
    "mm_use_im_patch_token": False,
    "tokenizer_padding_side": "right",
    "use_mm_proj": True,
}


def config_of(language, projector, tile):
    """The language model's config with LLaVA's keys. What the projector's config says of its tower and itself goes before."""
    config = {**json.loads((language / "config.json").read_text()), **VISION}
    own = projector / "config.json"
    told = json.loads(own.read_text()) if own.exists() else {}
    config.update({key: told[key] for key in ("mm_vision_tower", "mm_hidden_size", "mm_projector_type") if key in told})
    if tile:
        config["image_aspect_ratio"] = "anyres"
        config["mm_patch_merge_type"] = "spatial_unpad"
        config["image_grid_pinpoints"] = [[across * tile, down * tile] for across, down in GRIDS]
    else:
        config["image_aspect_ratio"] = "pad"
        config["mm_patch_merge_type"] = "flat"
    return config


def newline_row(hidden, seed):
    """As LLaVA-NeXT's code begins it: normal numbers, divided by the root of their count."""
    draw = random.Random(seed)
    return array("f", (draw.gauss(0, hidden ** -0.5) for _ in range(hidden)))


def join(options):
    language, projector, out = (pathlib.Path(name).expanduser() for name in (options.language, options.projector, options.out))
    index = next((language / name for name in INDEXES if (language / name).exists()), None)
    if not (language / "config.json").exists() or index is None:
        sys.exit(f"join_llava: {language} does not hold config.json and one of {', '.join(INDEXES)}; give the folder of the "
                 "language model as it was downloaded")
    if not (projector / PROJECTOR).exists():
        sys.exit(f"join_llava: {projector} does not hold {PROJECTOR}; give the folder of LLaVA's first stage")
    if out.exists():
        sys.exit(f"join_llava: {out} is there already; remove it, or give another folder")
    config = config_of(language, projector, options.tile if options.anyres else None)
    out.mkdir(parents=True)
    for file in sorted(language.iterdir()):
        if file.is_file() and file.name not in (index.name, "config.json"):
            (out / file.name).symlink_to(file.resolve())
    (out / PROJECTOR).symlink_to((projector / PROJECTOR).resolve())
    places = json.loads(index.read_text())
    for layer in (0, 2):
        for part in ("weight", "bias"):
            places["weight_map"][f"model.mm_projector.{layer}.{part}"] = PROJECTOR
    if options.anyres:
        places["weight_map"]["model.image_newline"] = NEWLINE
        hidden = config["hidden_size"]
        write_safetensors(out / NEWLINE, {"model.image_newline": ((hidden,), newline_row(hidden, options.seed))})
    (out / index.name).write_text(json.dumps(places, indent=2) + "\n")
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("language", metavar="LANGUAGE_MODEL")
    parser.add_argument("projector", metavar="PROJECTOR")
    parser.add_argument("out", metavar="OUT")
    parser.add_argument("--anyres", action="store_true", help="LLaVA-NeXT's rules for pictures, and its newline row")
    parser.add_argument("--tile", type=int, default=336, metavar="PIXELS", help="side of the tower's picture (default: 336)")
    parser.add_argument("--seed", type=int, default=42, help="of the newline row (default: 42)")
    join(parser.parse_args())


if __name__ == "__main__":
    main()
