#!/usr/bin/env python3
"""Writes tests/data/gguf and tests/fuzz/corpus/io_gguf: small GGUF files as llama.cpp's converters make them.

types.gguf holds a matrix of each type, and types.safetensors the float32 numbers that the package gguf takes them for.
llava15/ and qwen2/ are golden models of tests/data/golden in the layout of llama.cpp, with its names, its order of the
rows of queries and keys, and its two files. quantised.gguf is the text model of llava15 in several types of codes.

Needs gguf and numpy. Usage: python3 tools/make_gguf_fixtures.py tests/data tests/fuzz/corpus
"""

import json
import struct
import sys
from pathlib import Path

import gguf
import numpy as np

Type = gguf.GGMLQuantizationType
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)


def read_safetensors(path):
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = (8 + length + place for place in entry["data_offsets"])
            assert entry["dtype"] == "F32"
            tensors[name] = np.frombuffer(data[begin:end], np.float32).reshape(entry["shape"])
    return tensors


def write_safetensors(path, tensors):
    header, offset = {}, 0
    for name, values in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [offset, offset + values.nbytes]}
        offset += values.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(values.tobytes() for values in tensors.values()))


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(data):
    """(number, value) of a protocol buffer's fields."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        elif key & 7 == 2:
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
        else:
            size = {1: 8, 5: 4}[key & 7]
            value, at = data[at:at + size], at + size
        yield key >> 3, value


def sentencepiece(path):
    """Pieces, scores and types of a tokenizer.model."""
    tokens, scores, kinds = [], [], []
    for number, message in fields(path.read_bytes()):
        if number == 1:
            piece = dict(fields(message))
            tokens.append(piece[1].decode())
            scores.append(struct.unpack("<f", piece[2])[0])
            kinds.append(piece.get(3, NORMAL))
    return tokens, scores, kinds


def pad_vocabulary(tokens, kinds, size):
    for token in range(len(tokens), size):
        tokens.append(f"[PAD{token}]")
        kinds.append(UNUSED)


def interleaved(weight, heads):
    """As convert_hf_to_gguf.py stores queries and keys of LLaMA."""
    split = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return split.swapaxes(1, 2).reshape(weight.shape)


DECODER = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
           "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
           "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
OUTSIDE = {"embed_tokens": "token_embd", "norm": "output_norm", "lm_head": "output"}


def decoder_name(name):
    base, kind = name.rsplit(".", 1)
    if not base.startswith("layers."):
        return f"{OUTSIDE[base]}.{kind}"
    _, layer, role = base.split(".", 2)
    return f"blk.{layer}.{DECODER[role]}.{kind}"


def tower_name(name):
    """As the first converter of llama.cpp renames, by which fc1 is ffn_down."""
    for old, new in (("encoder.layers", "blk"), ("embeddings.", ""), ("_proj", ""), ("self_attn.", "attn_"), ("layer_norm", "ln"),
                     ("layernorm", "ln"), ("mlp.fc1", "ffn_down"), ("mlp.fc2", "ffn_up"), ("embedding", "embd"), ("layrnorm", "ln")):
        name = name.replace(old, new)
    return "v." + name


def add(writer, name, values, kind):
    """A tensor; what is not a matrix stays float32."""
    if values.ndim < 2 or kind == Type.F32:
        writer.add_tensor(name, values.astype(np.float32))
    else:
        writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_decoder_keys(writer, config, default_length):
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config.get("max_position_embeddings", default_length))
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config.get("num_key_value_heads", config["num_attention_heads"]))
    writer.add_layer_norm_rms_eps(config.get("rms_norm_eps", 1e-6))
    writer.add_rope_freq_base(config.get("rope_theta", 10000.0))
    writer.add_rope_dimension_count(config["hidden_size"] // config["num_attention_heads"])
    writer.add_vocab_size(config["vocab_size"])


def llama_decoder(folder):
    """Names and tensors of a decoder in LLaVA's own layout, as LLaMA's converter stores them."""
    config = json.loads((folder / "config.json").read_text())
    for name, values in sorted(read_safetensors(folder / "model.safetensors").items()):
        name = name.removeprefix("model.")
        if name.startswith(("mm_projector.", "vision_tower.", "image_newline")) or "rotary" in name:
            continue
        if "q_proj" in name:
            values = interleaved(values, config["num_attention_heads"])
        if "k_proj" in name:
            values = interleaved(values, config.get("num_key_value_heads", config["num_attention_heads"]))
        yield decoder_name(name), values


def write_llama(path, folder, kind_of):
    config = json.loads((folder / "config.json").read_text())
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(path.stem)
    add_decoder_keys(writer, config, 2048)
    tokens, scores, kinds = sentencepiece(folder / "tokenizer.model")
    pad_vocabulary(tokens, kinds, config["vocab_size"])
    scores += [-1000.0] * (len(tokens) - len(scores))
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(kinds)
    for name, what in (("<s>", writer.add_bos_token_id), ("</s>", writer.add_eos_token_id), ("<unk>", writer.add_unk_token_id)):
        what(tokens.index(name))
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    for name, values in llama_decoder(folder):
        add(writer, name, values, kind_of(name))
    finish(writer)


def write_mmproj(path, tower, config, projector, kind, blocks, extra=None):
    """tower: tensors under the names of CLIP; projector: under mm_projector's."""
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_bool("clip.has_text_encoder", False)
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_bool("clip.has_llava_projector", True)
    writer.add_string("clip.projector_type", "mlp")
    for key, value in (("image_size", config["image_size"]), ("patch_size", config["patch_size"]), ("embedding_length", config["hidden_size"]),
                       ("feed_forward_length", config["intermediate_size"]), ("attention.head_count", config["num_attention_heads"]),
                       ("projection_dim", config["hidden_size"]), ("block_count", blocks)):
        writer.add_uint32(f"clip.vision.{key}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", config.get("layer_norm_eps", 1e-5))
    writer.add_array("clip.vision.image_mean", [0.48145466, 0.4578275, 0.40821073])
    writer.add_array("clip.vision.image_std", [0.26862954, 0.26130258, 0.27577711])
    writer.add_bool("clip.use_gelu", False)
    if extra:
        extra(writer)
    for name, values in projector.items():
        add(writer, name, values.squeeze(), kind)
    for name, values in sorted(tower.items()):
        if name.startswith("encoder.layers.") and int(name.split(".")[2]) >= blocks:
            continue
        if name.startswith(("post_layernorm.", "head.")):
            continue
        add(writer, tower_name(name), values.squeeze(), kind)
    finish(writer)


def without(prefix, tensors):
    return {name[len(prefix):]: values for name, values in tensors.items() if name.startswith(prefix)}


def write_llava15(folder, golden):
    source = golden / "liuhaotian_llava15"
    write_llama(folder / "llava15-F16.gguf", source / "checkpoint", lambda name: Type.F16)
    projector = {"mm." + name: values
                 for name, values in without("model.mm_projector.", read_safetensors(source / "checkpoint/model.safetensors")).items()}
    config = json.loads((source / "vision_tower/config.json").read_text())
    config = config.get("vision_config", config)
    tower = read_safetensors(source / "vision_tower/model.safetensors")
    tower = without("vision_model.", tower) or tower
    write_mmproj(folder / "mmproj-llava15-F16.gguf", tower, config, projector, Type.F16, config["num_hidden_layers"] - 1)


def kinds_of_quantised(name):
    """Types whose blocks fit matrices that are 32 wide; feed-forward networks are 88 wide and stay float32."""
    kinds = {"token_embd": Type.Q8_0, "output": Type.Q5_0, "attn_q": Type.Q4_0, "attn_k": Type.Q8_0, "attn_v": Type.Q4_1,
             "attn_output": Type.Q5_1, "ffn_gate": Type.Q8_0, "ffn_up": Type.Q4_0, "ffn_down": Type.BF16}
    return kinds.get(name.split(".")[-2], Type.F32)


def write_qwen2(folder, golden):
    source = golden / "llava_onevision/checkpoint"
    config = json.loads((source / "config.json").read_text())
    tensors = read_safetensors(source / "model.safetensors")
    writer = gguf.GGUFWriter(folder / "qwen2-F16.gguf", "qwen2")
    add_decoder_keys(writer, config["text_config"], 32768)
    tokenizer = json.loads((source / "tokenizer.json").read_text())
    by_id = {id: token for token, id in tokenizer["model"]["vocab"].items()}
    added = {token["id"]: token for token in tokenizer["added_tokens"]}
    tokens = [added[id]["content"] if id in added else by_id[id] for id in range(len(by_id) + len(added))]
    kinds = [(CONTROL if added[id]["special"] else USER_DEFINED) if id in added else NORMAL for id in range(len(tokens))]
    pad_vocabulary(tokens, kinds, config["text_config"]["vocab_size"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in tokenizer["model"]["merges"]])
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_pad_token_id(tokens.index("<|endoftext|>"))
    writer.add_bos_token_id(tokens.index("<|endoftext|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(json.loads((source / "chat_template.json").read_text())["chat_template"])
    decoder = without("language_model.model.", tensors) | without("language_model.", {k: v for k, v in tensors.items() if "lm_head" in k})
    for name, values in sorted(decoder.items()):
        add(writer, decoder_name(name), values, Type.F16)
    finish(writer)

    def extra(writer):
        writer.add_array("clip.vision.image_grid_pinpoints", [side for pair in config["image_grid_pinpoints"] for side in pair])
        writer.add_string("clip.vision.image_aspect_ratio", "anyres_max_9")
        writer.add_string("clip.vision.mm_patch_merge_type", "spatial_unpad")
        writer.add_array("clip.vision.feature_layer", [config["vision_config"]["num_hidden_layers"]])

    names = {"linear_1": "mm.0", "linear_2": "mm.2"}
    projector = {f"{names[name.split('.')[0]]}.{name.split('.')[1]}": values
                 for name, values in without("multi_modal_projector.", tensors).items()}
    projector["model.image_newline"] = tensors["image_newline"]
    tower = config["vision_config"] | {"layer_norm_eps": 1e-6}
    write_mmproj(folder / "mmproj-qwen2-F16.gguf", without("vision_tower.vision_model.", tensors), tower, projector, Type.F16,
                 tower["num_hidden_layers"], extra)


def random_blocks(kind, rows, width, random):
    """Valid blocks of a type that the package cannot quantise to: any codes, scales as models have them."""
    size, count = gguf.GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (rows * width // size, count), dtype=np.uint8)
    for place in {Type.Q4_K: (0, 2), Type.Q5_K: (0, 2), Type.Q6_K: (208,)}[kind]:
        scales = random.uniform(1e-4, 4e-3, (len(blocks), 1)).astype(np.float16)
        blocks[:, place:place + 2] = scales.view(np.uint8)
    return blocks.reshape(rows, -1)


def write_types(folder):
    random = np.random.default_rng(2026)
    writer = gguf.GGUFWriter(folder / "types.gguf", "llama")
    expected = {}
    for kind in (Type.F32, Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1):
        stored = gguf.quants.quantize(random.normal(0, 0.05, (4, 256)).astype(np.float32), kind)
        writer.add_tensor(kind.name, stored, raw_dtype=kind)
        expected[kind.name] = gguf.quants.dequantize(stored, kind).astype(np.float32)
    for kind in (Type.Q4_K, Type.Q5_K, Type.Q6_K):
        stored = random_blocks(kind, 4, 512, random)
        writer.add_tensor(kind.name, stored, raw_dtype=kind)
        expected[kind.name] = gguf.quants.dequantize(stored, kind).astype(np.float32)
    finish(writer)
    write_safetensors(folder / "types.safetensors", expected)


def write_corpus(folder):
    writer = gguf.GGUFWriter(folder / "kinds", "llama")
    for kind in ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"):
        getattr(writer, "add_" + kind)("whole." + kind, 7)
    writer.add_float32("real.float32", 0.5)
    writer.add_float64("real.float64", 0.25)
    writer.add_bool("flag", True)
    writer.add_string("text", "a text")
    writer.add_array("list.texts", ["one", "", "three"])
    writer.add_array("list.wholes", [1, 2, 3])
    writer.add_array("list.reals", [0.5, 1.5])
    writer.add_tensor("f32", np.arange(6, dtype=np.float32).reshape(2, 3))
    writer.add_tensor("q8_0", gguf.quants.quantize(np.ones((2, 32), np.float32), Type.Q8_0), raw_dtype=Type.Q8_0)
    finish(writer)
    writer = gguf.GGUFWriter(folder / "aligned", "clip")
    writer.add_custom_alignment(64)
    writer.add_tensor("a", np.ones(3, np.float32))
    writer.add_tensor("b", np.ones(3, np.float16))
    finish(writer)
    writer = gguf.GGUFWriter(folder / "no_tensors", "llama")
    finish(writer)
    (folder / "empty").write_bytes(b"")
    (folder / "magic").write_bytes(b"GGUF")
    (folder / "version_2").write_bytes(b"GGUF" + struct.pack("<IQQ", 2, 0, 0))
    many = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1) + b"k"
    (folder / "many_elements").write_bytes(many + struct.pack("<IIQ", 9, 8, 1 << 60))
    (folder / "nested").write_bytes(many + struct.pack("<IIQ", 9, 9, 1))
    tensor = b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + struct.pack("<Q", 1) + b"t"
    (folder / "overflow").write_bytes(tensor + struct.pack("<IQQIQ", 2, 1 << 40, 1 << 40, 0, 0))
    (folder / "outside").write_bytes(tensor + struct.pack("<IQIQ", 1, 8, 0, 1 << 63))


def main():
    data, corpus = Path(sys.argv[1]), Path(sys.argv[2]) / "io_gguf"
    folder = data / "gguf"
    for made in (folder / "llava15", folder / "qwen2", corpus):
        made.mkdir(parents=True, exist_ok=True)
    write_types(folder)
    write_llava15(folder / "llava15", data / "golden")
    write_llama(folder / "quantised.gguf", data / "golden/liuhaotian_llava15/checkpoint", kinds_of_quantised)
    write_qwen2(folder / "qwen2", data / "golden")
    write_corpus(corpus)


if __name__ == "__main__":
    main()
