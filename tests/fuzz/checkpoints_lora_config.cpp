// Fuzz entry: any bytes as a PEFT folder's adapter_config.json. Build it with -fsanitize=fuzzer for a search;
// tests/models/fuzz_test.cpp replays the corpus and seeded mutations of it.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>

#include "base/error.h"
#include "checkpoints/read/lora_config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  using namespace lithe;
  try {
    const Json json = parse_json({reinterpret_cast<const char*>(data), size}, "fuzz");
    const models::LoraConfig config = models::LoraConfig::read(JsonView(json, "fuzz"));
    for (const char* module : {"", "lm_head", "model.layers.1.self_attn.q_proj"}) {
      config.key_against(module);
      config.saves(module);
      if (config.rank_of(module) < 1 || !std::isfinite(config.scale_of(module)))
        throw std::logic_error("a rank or a scale that no LoRA has");
    }
  } catch (const Error&) {
    // The one way to refuse.
  }
  return 0;
}
