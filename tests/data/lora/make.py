"""Makes the LoRA reference data of this folder with PEFT, over tiny models of ../golden:

  python make.py        needs torch, transformers, peft, safetensors

hf/         over golden/hf_llava15: factors in decoder, tower and projector, ranks and scales by pattern, rsLoRA, a
            projector layer saved whole; expected.safetensors has ids -> logits and pixels -> projected.
original/   the same over the decoder of golden/liuhaotian_llava15 alone, stored as LLaVA's own training stores it:
            config.json, adapter_model.bin, and the projector in non_lora_trainables.bin.
"""

import json
import shutil
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, LlamaConfig, LlamaForCausalLM, LlavaForConditionalGeneration

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "golden"
IDS = torch.tensor([[1, 17, 301, 44, 250, 9, 9, 133, 388, 5]])


def randomise(model):
    """Factors and whole copies as a training would leave them: all away from their start."""
    for name, tensor in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(tensor, std=0.5 / tensor.shape[1] ** 0.5)
        elif "modules_to_save" in name:
            tensor.data += 0.1 * torch.randn_like(tensor)


def hugging_face():
    out, folder = HERE / "hf", GOLDEN / "hf_llava15" / "checkpoint"
    model = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    config = LoraConfig(r=4, lora_alpha=6, use_rslora=True, rank_pattern={"mlp.up_proj": 8, "layers.1.self_attn.q_proj": 2},
                        alpha_pattern={"mlp.up_proj": 3.5}, modules_to_save=["linear_2"],
                        target_modules=["q_proj", "v_proj", "up_proj", "down_proj", "fc1", "linear_1", "lm_head"])
    model = get_peft_model(model, config)
    randomise(model)
    model.save_pretrained(out)
    pixels = torch.randn(1, 3, 56, 56)
    with torch.no_grad():
        logits = model(input_ids=IDS).logits[0]
        features = model.base_model.model.get_image_features(pixels)
        projected = getattr(features, "pooler_output", features)
        projected = projected[0] if isinstance(projected, (list, tuple)) else projected
    save_file({"ids": IDS[0].int(), "logits": logits.contiguous(), "pixels": pixels,
               "projected": projected.reshape(-1, projected.shape[-1]).contiguous()}, out / "expected.safetensors")
    clean(out, "base")


def original():
    out, folder = HERE / "original", GOLDEN / "liuhaotian_llava15" / "checkpoint"
    tensors = load_file(folder / "model.safetensors")
    keys = json.loads((folder / "config.json").read_text())
    llama = LlamaForCausalLM(LlamaConfig(**{k: v for k, v in keys.items() if k not in ("architectures", "model_type")}))
    llama.load_state_dict({k: v for k, v in tensors.items() if "mm_projector" not in k})
    config = LoraConfig(r=3, lora_alpha=5, bias="none", task_type="CAUSAL_LM",
                        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"])
    model = get_peft_model(llama.eval(), config)
    randomise(model)
    model.save_pretrained(out)
    with torch.no_grad():
        logits = model(input_ids=IDS).logits[0]
    torch.save(load_file(out / "adapter_model.safetensors"), out / "adapter_model.bin")
    (out / "adapter_model.safetensors").unlink()
    whole = {f"base_model.model.{k}": v + 0.1 * torch.randn_like(v) for k, v in tensors.items() if "mm_projector" in k}
    torch.save(whole, out / "non_lora_trainables.bin")
    shutil.copyfile(folder / "config.json", out / "config.json")
    save_file({"ids": IDS[0].int(), "logits": logits.contiguous(),
               "projector.0.bias": whole["base_model.model.model.mm_projector.0.bias"]}, out / "expected.safetensors")
    clean(out, "vicuna")


def clean(out, base):
    """The config names the base by its last part; PEFT's model card goes."""
    (out / "README.md").unlink(missing_ok=True)
    file = out / "adapter_config.json"
    config = json.loads(file.read_text())
    config["base_model_name_or_path"] = f"somebody/{base}"
    file.write_text(json.dumps(config, indent=1) + "\n")


torch.manual_seed(4)
hugging_face()
original()
