#include "plan/facts.h"

namespace lithe::plan {

const std::vector<SelectorFacts>& known_selectors() {
  static const std::vector<SelectorFacts> kSelectors{
      {"router", Scope::group, Reads::router},
      {"random"},
      {"uniform"},
      {"first"},
      {"attention", Scope::prompt, Reads::attention},
      {"text_attention", Scope::prompt, Reads::text_attention},
      {"similarity"},
      {"key_norm", Scope::group, Reads::keys},
      {"variation", Scope::group, Reads::change},
      {"duplication", Scope::prompt, Reads::keys},
      {"diversity"},
      {"relevance", Scope::prompt, Reads::text},
      {.name = "class_attention", .reads = Reads::picture, .class_token = true},
      {.name = "visionzip", .reads = Reads::picture, .class_token = true, .merges = true},
      {.name = "prumerge", .reads = Reads::picture, .class_token = true, .merges = true},
      {.name = "pooled", .reads = Reads::picture, .merges = true},
      {"given", Scope::prompt, Reads::given},
  };
  return kSelectors;
}

}  // namespace lithe::plan
