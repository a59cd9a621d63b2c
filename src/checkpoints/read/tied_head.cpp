#include "checkpoints/read/tied_head.h"

#include <algorithm>

namespace lithe::models {
namespace {

constexpr const char* kKey = "tie_word_embeddings";

}  // namespace

bool asks_for_tied_head(const JsonView& config) {
  if (config.boolean(kKey, false)) return true;
  return config.has("text_config") && config.object("text_config").boolean(kKey, false);
}

bool has_own_head(const io::Checkpoint& checkpoint, const std::string& embeddings, const std::string& head) {
  const io::TensorView* const own = checkpoint.find(head);
  const io::TensorView* const embed = checkpoint.find(embeddings);
  if (!own || !embed) return own != nullptr;
  if (own->dtype != embed->dtype || own->shape != embed->shape) return true;
  return own->bytes.data() != embed->bytes.data() &&
         !std::equal(own->bytes.begin(), own->bytes.end(), embed->bytes.begin(), embed->bytes.end());
}

bool ties_head(const JsonView& config, const io::Checkpoint& checkpoint, const Layout& layout) {
  const WeightName name{.part = Part::decoder};
  return asks_for_tied_head(config) && !has_own_head(checkpoint, name_in(layout, name.with(Role::embeddings)),
                                                     name_in(layout, name.with(Role::head)));
}

}  // namespace lithe::models
