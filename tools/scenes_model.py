"""The model that `scenes` is learned with from the beginning: a small LLaVA in the Hugging Face layout, with random weights.

Its tower only turns each patch into numbers and runs no layer. So what is in a cell is in one vision token and in no other
until the decoder runs.
"""

import hashlib
import json
import math
from array import array

import byte_level_bpe
from safetensors_file import write_safetensors
from scenes_pictures import CELL_PX, GRID, SIDE_PX

LAYERS, WIDTH, INNER, HEADS = 8, 128, 344, 4
MAX_POSITIONS = 512
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<image>"]
TEMPLATE = ("{% for m in messages %}{% for c in m['content'] %}{% if c['type'] == 'image' %}<image>{% else %}"
            "{{ ' ' + c['text'] | trim }}{% endif %}{% endfor %}{% if m['role'] == 'user' %} Answer:{% endif %}{% endfor %}")


def tokenizer_of(texts):
    begin = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    one, two = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    template = {"type": "TemplateProcessing", "single": [begin, one], "pair": [begin, one, begin, two],
                "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}}
    return byte_level_bpe.tokenizer_of(sorted({" " + word for text in texts for word in text.split()}), SPECIAL, template)


def flat(deviation, name, count):
    """Numbers spread evenly around 0, which the name alone decides."""
    words = array("H")
    words.frombytes(hashlib.shake_128(f"scenes model {name}".encode()).digest(2 * count))
    if array("H", [1]).tobytes() != b"\1\0":
        words.byteswap()
    step = deviation * 12 ** 0.5 / 65536
    return array("f", ((word - 32767.5) * step for word in words))


class Weights:
    def __init__(self):
        self.tensors = {}

    def matrix(self, name, *shape, deviation=None):
        deviation = deviation or math.prod(shape[1:]) ** -0.5
        self.tensors[name] = (list(shape), flat(deviation, name, math.prod(shape)))

    def constant(self, name, value, count=WIDTH):
        self.tensors[name] = ([count], array("f", [value] * count))

    def decoder(self, vocabulary):
        self.matrix("language_model.model.embed_tokens.weight", vocabulary, WIDTH, deviation=0.5)
        late = (2 * LAYERS * WIDTH) ** -0.5          # what is added to the tokens, so often, stays of their size
        for layer in range(LAYERS):
            name = f"language_model.model.layers.{layer}."
            for part in "qkv":
                self.matrix(f"{name}self_attn.{part}_proj.weight", WIDTH, WIDTH)
            self.matrix(f"{name}self_attn.o_proj.weight", WIDTH, WIDTH, deviation=late)
            self.matrix(f"{name}mlp.gate_proj.weight", INNER, WIDTH)
            self.matrix(f"{name}mlp.up_proj.weight", INNER, WIDTH)
            self.matrix(f"{name}mlp.down_proj.weight", WIDTH, INNER, deviation=late)
            self.constant(f"{name}input_layernorm.weight", 1)
            self.constant(f"{name}post_attention_layernorm.weight", 1)
        self.constant("language_model.model.norm.weight", 1)
        self.matrix("language_model.lm_head.weight", vocabulary, WIDTH, deviation=0.02)

    def tower(self):
        root = "vision_tower.vision_model."
        self.constant(f"{root}embeddings.class_embedding", 0)
        self.matrix(f"{root}embeddings.patch_embedding.weight", WIDTH, 3, CELL_PX, CELL_PX)
        self.tensors[f"{root}embeddings.position_embedding.weight"] = ([1 + GRID * GRID, WIDTH], positions())
        self.constant(f"{root}pre_layrnorm.weight", 1)
        self.constant(f"{root}pre_layrnorm.bias", 0)
        for part in ("linear_1", "linear_2"):
            self.matrix(f"multi_modal_projector.{part}.weight", WIDTH, WIDTH)
            self.constant(f"multi_modal_projector.{part}.bias", 0)


def positions():
    """Waves over rows and over columns, a quarter of the width each for sine and cosine; the class token has none."""
    values = array("f", [0] * WIDTH)
    quarter = WIDTH // 4
    for cell in range(GRID * GRID):
        for place in divmod(cell, GRID):
            angles = [place * math.pi * (1 + i) / quarter for i in range(quarter)]
            values.extend(0.3 * math.sin(angle) for angle in angles)
            values.extend(0.3 * math.cos(angle) for angle in angles)
    return values


def config_of(vocabulary):
    ends = {"bos_token_id": SPECIAL.index("<s>"), "eos_token_id": SPECIAL.index("</s>"),
            "pad_token_id": SPECIAL.index("<pad>")}
    text = {"model_type": "llama", "vocab_size": vocabulary, "hidden_size": WIDTH, "intermediate_size": INNER,
            "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": HEADS,
            "max_position_embeddings": MAX_POSITIONS, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, **ends}
    tower = {"model_type": "clip_vision_model", "hidden_size": WIDTH, "intermediate_size": WIDTH, "num_hidden_layers": 1,
             "num_attention_heads": HEADS, "image_size": SIDE_PX, "patch_size": CELL_PX, "projection_dim": WIDTH}
    return {"architectures": ["LlavaForConditionalGeneration"], "model_type": "llava", "torch_dtype": "float32",
            "image_token_index": SPECIAL.index("<image>"), "image_seq_length": GRID * GRID, "projector_hidden_act": "gelu",
            "vision_feature_layer": 0, "vision_feature_select_strategy": "default", "tie_word_embeddings": False,
            "vocab_size": vocabulary, "text_config": text, "vision_config": tower}


def processor():
    side = {"height": SIDE_PX, "width": SIDE_PX}
    return {"image_processor_type": "CLIPImageProcessor", "processor_class": "LlavaProcessor", "do_convert_rgb": True,
            "do_resize": True, "size": {"shortest_edge": SIDE_PX}, "resample": 3, "do_center_crop": True, "crop_size": side,
            "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
            "image_mean": [0.5] * 3, "image_std": [0.25] * 3}


def write_model(out, texts):
    out.mkdir(parents=True)
    tokenizer = tokenizer_of([*texts, "Answer:"])
    vocabulary = len(tokenizer["model"]["vocab"])
    names = dict(zip(("bos_token", "pad_token", "eos_token", "unk_token"), SPECIAL))
    files = {"config.json": config_of(vocabulary), "preprocessor_config.json": processor(), "tokenizer.json": tokenizer,
             "chat_template.json": {"chat_template": TEMPLATE},
             "tokenizer_config.json": {**names, "tokenizer_class": "PreTrainedTokenizerFast", "padding_side": "left",
                                       "clean_up_tokenization_spaces": False, "model_max_length": MAX_POSITIONS}}
    for name, content in files.items():
        (out / name).write_text(json.dumps(content, indent=1) + "\n")
    weights = Weights()
    weights.decoder(vocabulary)
    weights.tower()
    write_safetensors(out / "model.safetensors", weights.tensors)
