#include "session/loras.h"

#include "checkpoints/read/lora_over.h"
#include "checkpoints/read/model_folder.h"

namespace lithe::session {

Lora open_lora(const Session& session, const std::string& name, const std::string& folder, int64_t most_bytes) {
  return models::open_lora_over(session.model(), name, models::adapter_folder(folder), most_bytes);
}

LoraFacts facts_of(const models::LoraOver& lora) {
  return {.name = lora.name,
          .folder = lora.folder,
          .products = static_cast<int64_t>(lora.terms.products()),
          .lowest_rank = lora.lowest_rank,
          .highest_rank = lora.highest_rank,
          .bytes = lora.bytes};
}

}  // namespace lithe::session
