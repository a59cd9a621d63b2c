"""Small models in the layouts of LaVIN and METER, for a first training in full.

LaVIN gets the decoder, the vision tower and the tokenizer of demo-dense; its projector and its modality rows are new.
METER gets that vision tower; its text encoder and its streams are random.
"""

import json
import random
import re
import shutil
from array import array

import byte_level_bpe
from safetensors_file import read_safetensors, write_safetensors

TOWER_BLOCKS = 4              # of the five of demo-dense, as LLaVA and METER leave out the last one
WIDTH, HEADS = 128, 4         # of METER, and of the tower
TEXT_LAYERS, LAYERS = 2, 4    # of METER's text encoder, and of each stream
MAX_TEXT = 24
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def block_of(name):
    """The tower's block that a weight is in; 0 for the others."""
    found = re.search(r"layers\.(\d+)\.", name)
    return int(found[1]) if found else 0


def write_lavin(demo, out):
    """One folder, as `lithe convert` writes LaVIN."""
    out.mkdir(parents=True)
    own = json.loads((demo / "config.json").read_text())
    tower = json.loads((demo / "vision_tower/config.json").read_text())
    text_keys = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
                 "vocab_size", "rms_norm_eps", "rope_theta", "max_position_embeddings", "bos_token_id", "eos_token_id")
    config = {"model_type": "lavin", "text_config": {"model_type": "llama", **{key: own[key] for key in text_keys}},
              "vision_config": {**tower, "num_hidden_layers": TOWER_BLOCKS}}
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    for name in ("tokenizer.model", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copyfile(demo / name, out / name)
    tensors = {}
    for name, tensor in read_safetensors(demo / "model.safetensors").items():
        if "mm_projector" not in name:
            tensors["language_model." + name] = tensor
    for name, tensor in read_safetensors(demo / "vision_tower/model.safetensors").items():
        if block_of(name) < TOWER_BLOCKS:
            tensors["vision_tower." + name] = tensor
    write_safetensors(out / "model.safetensors", tensors)


class Random:
    """Tensors of METER that begin at random."""

    def __init__(self, seed):
        self.generator = random.Random(seed)
        self.tensors = {}

    def matrix(self, name, rows, columns, deviation=None):
        deviation = deviation or 0.5 * columns ** -0.5
        values = array("f", (self.generator.gauss(0, deviation) for _ in range(rows * columns)))
        self.tensors[name + ".weight"] = ([rows, columns], values)

    def linear(self, name, rows, columns):
        self.matrix(name, rows, columns)
        self.tensors[name + ".bias"] = ([rows], array("f", [0] * rows))

    def norm(self, name):
        self.tensors[name + ".weight"] = ([WIDTH], array("f", [1] * WIDTH))
        self.tensors[name + ".bias"] = ([WIDTH], array("f", [0] * WIDTH))

    def layer(self, name, attentions):
        for attention in attentions:
            for part in ("query", "key", "value"):
                self.linear(f"{name}.{attention}.self.{part}", WIDTH, WIDTH)
            self.linear(f"{name}.{attention}.output.dense", WIDTH, WIDTH)
            self.norm(f"{name}.{attention}.output.LayerNorm")
        self.linear(f"{name}.intermediate.dense", 4 * WIDTH, WIDTH)
        self.linear(f"{name}.output.dense", WIDTH, 4 * WIDTH)
        self.norm(f"{name}.output.LayerNorm")

    def text_encoder(self, vocabulary):
        root = "text_transformer."
        for name, rows in (("word", vocabulary), ("position", MAX_TEXT + 2), ("token_type", 1)):
            self.matrix(f"{root}embeddings.{name}_embeddings", rows, WIDTH, 0.1)
        self.norm(root + "embeddings.LayerNorm")
        for layer in range(TEXT_LAYERS):
            self.layer(f"{root}encoder.layer.{layer}", ["attention"])

    def streams(self):
        self.matrix("token_type_embeddings", 2, WIDTH, 0.1)
        for stream in ("text", "image"):
            self.linear(f"cross_modal_{stream}_transform", WIDTH, WIDTH)
            for layer in range(LAYERS):
                self.layer(f"cross_modal_{stream}_layers.{layer}", ["attention", "crossattention"])
            self.linear(f"cross_modal_{stream}_pooler.dense", WIDTH, WIDTH)


TOWER_NAMES = {"embeddings.class_embedding": "class_embedding", "embeddings.patch_embedding.weight": "conv1.weight",
               "embeddings.position_embedding.weight": "positional_embedding", "pre_layrnorm": "ln_pre",
               "post_layernorm": "ln_post", "encoder.layers": "transformer.resblocks", "layer_norm1": "ln_1",
               "layer_norm2": "ln_2", "self_attn.out_proj": "attn.out_proj", "mlp.fc1": "mlp.c_fc",
               "mlp.fc2": "mlp.c_proj"}


def openai_tower(tensors):
    """The tower's tensors under the names of OpenAI's CLIP, where queries, keys and values are one."""
    named, thirds = {}, {}
    for name, tensor in tensors.items():
        if block_of(name) >= TOWER_BLOCKS:
            continue
        name = name.replace("vision_model.", "vit_model.visual.", 1)
        for ours, theirs in TOWER_NAMES.items():
            name = name.replace(ours, theirs)
        if part := re.search(r"self_attn\.([qkv])_proj\.", name):
            thirds.setdefault(name.replace(part[0], "attn.in_proj_"), {})[part[1]] = tensor
        else:
            named[name] = tensor
    for name, parts in thirds.items():
        shape = parts["q"][0]
        values = array("f")
        for part in "qkv":
            values.extend(parts[part][1])
        named[name] = ([3 * shape[0], *shape[1:]], values)
    return named


def tokenizer_of(texts):
    ends = {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": True,
            "add_prefix_space": False}
    tokenizer = byte_level_bpe.tokenizer_of(texts, SPECIAL, ends)
    tokenizer["added_tokens"][SPECIAL.index("<mask>")]["lstrip"] = True
    tokenizer["decoder"] = {**tokenizer["decoder"], "add_prefix_space": True}
    return tokenizer


def write_meter(demo, out, texts):
    out.mkdir(parents=True)
    tokenizer = tokenizer_of(texts)
    (out / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    begin = Random(0)
    begin.text_encoder(len(tokenizer["model"]["vocab"]))
    begin.streams()
    tower = openai_tower(read_safetensors(demo / "vision_tower/model.safetensors"))
    write_safetensors(out / "model.safetensors", {**begin.tensors, **tower})
    config = {"model_type": "meter", "num_heads": HEADS, "text_num_heads": HEADS, "vit_num_heads": HEADS,
              "image_size": 64, "max_text_len": MAX_TEXT}
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n")
