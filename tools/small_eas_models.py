"""Small models in the layouts of LaVIN and METER, for a first training in full.

LaVIN gets the decoder, the vision tower and the tokenizer of demo-dense; its projector and its modality rows are new.
METER gets that vision tower; its text encoder and its streams are random.
"""

import json
import random
import re
import shutil
import struct
from array import array
from collections import Counter

TOWER_BLOCKS = 4              # of the five of demo-dense, as LLaVA and METER leave out the last one
WIDTH, HEADS = 128, 4         # of METER, and of the tower
TEXT_LAYERS, LAYERS = 2, 4    # of METER's text encoder, and of each stream
MAX_TEXT = 24
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
PIECE = re.compile(r" ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+")


def read_safetensors(path):
    """-> {name: (shape, floats)}"""
    data = path.read_bytes()
    length = struct.unpack_from("<Q", data)[0]
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, about in header.items():
        begin, end = (8 + length + offset for offset in about["data_offsets"])
        code = {"F16": "e", "F32": "f"}[about["dtype"]]
        count = (end - begin) // struct.calcsize(code)
        tensors[name] = (about["shape"], array("f", struct.unpack_from(f"<{count}{code}", data, begin)))
    return tensors


def write_safetensors(path, tensors):
    """In float32, which a first training needs."""
    header, offset = {}, 0
    for name, (shape, values) in tensors.items():
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + 4 * len(values)]}
        offset += 4 * len(values)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for _, values in tensors.values():
            out.write(values.tobytes())


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


def byte_letters():
    """How byte-level BPE writes each byte, as in GPT-2."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in shown]
    return {**{byte: chr(byte) for byte in shown}, **{byte: chr(256 + i) for i, byte in enumerate(others)}}


def learn_merges(texts):
    """Joins the most frequent neighbours until every word is one token."""
    letters = byte_letters()
    words = Counter(piece for text in texts for piece in PIECE.findall(text))
    split = {word: [letters[byte] for byte in word.encode()] for word in words}
    merges = []
    while True:
        pairs = Counter()
        for word, pieces in split.items():
            for pair in zip(pieces, pieces[1:]):
                pairs[pair] += words[word]
        if not pairs:
            return merges
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for pieces in split.values():
            for i in range(len(pieces) - 2, -1, -1):
                if tuple(pieces[i:i + 2]) == best:
                    pieces[i:i + 2] = ["".join(best)]


def tokenizer_of(texts):
    merges = learn_merges(texts)
    words = [*SPECIAL, *byte_letters().values(), *dict.fromkeys("".join(pair) for pair in merges)]
    added = [{"id": i, "content": word, "single_word": False, "lstrip": word == "<mask>", "rstrip": False,
              "normalized": False, "special": True} for i, word in enumerate(SPECIAL)]
    bytewise = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
            "pre_tokenizer": bytewise,
            "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0],
                               "trim_offsets": True, "add_prefix_space": False},
            "decoder": {**bytewise, "add_prefix_space": True},
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "",
                      "end_of_word_suffix": "", "fuse_unk": False, "byte_fallback": False,
                      "vocab": {word: i for i, word in enumerate(words)}, "merges": [" ".join(pair) for pair in merges]}}


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
