#include "serve/savings.h"

namespace lithe::serve {

Json savings_json(const Savings& savings, const session::Answer& answer) {
  Json json{{"kv_bytes", answer.cache.bytes_after_prefill},
            {"dense_kv_bytes", savings.kv_token_bytes * (answer.timings.prompt_rows - savings.uncached_rows)},
            {"counted_share", answer.counted.share()}};
  if (savings.patches) json["kept_patches"] = kept_patches_json(*savings.patches, answer);
  return json;
}

}  // namespace lithe::serve
