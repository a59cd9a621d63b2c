"""What transformers and peft make of folders that Lithe wrote; prints JSON. Run by trained_folders_test.py, with the
Python of `make bench-setup`:
  with_transformers.py logits MODEL LORA TRACE    how far the logits of MODEL under LORA, a PEFT folder, are from those
                                                  that `lithe trace` wrote for the same tokens and picture
  with_transformers.py names MODEL                which weights it misses in a folder, and which it does not know
"""

import json
import sys

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import LlavaForConditionalGeneration

PICTURE = -200  # in the token ids of a trace


def expanded(ids, token, count):
    """One id for each row of a picture, as transformers wants it."""
    return [each for one in ids for each in ([token] * count if one == PICTURE else [one])]


def logits(model_folder, lora_folder, trace_file):
    trace = load_file(trace_file)
    model = LlavaForConditionalGeneration.from_pretrained(model_folder, dtype=torch.float32)
    ids = expanded(trace["input_ids"].tolist(), model.config.image_token_id, trace["images.0.projected"].shape[-2])
    inputs = {"input_ids": torch.tensor([ids]), "pixel_values": trace["images.0.pixel_values"]}
    with torch.no_grad():
        base = model(**inputs).logits[0]
        tuned = PeftModel.from_pretrained(model, lora_folder).eval()(**inputs).logits[0]
    return {"moved": (tuned - base).abs().max().item(), "apart": (tuned - trace["logits"]).abs().max().item()}


def names(model_folder):
    _, info = LlavaForConditionalGeneration.from_pretrained(model_folder, output_loading_info=True)
    return {kind: sorted(info[kind]) for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")}


if __name__ == "__main__":
    print(json.dumps({"logits": logits, "names": names}[sys.argv[1]](*sys.argv[2:])))
