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
      {"class_attention", Scope::group, Reads::picture},
      {"visionzip", Scope::group, Reads::picture, true},
      {"prumerge", Scope::group, Reads::picture, true},
      {"pooled", Scope::group, Reads::picture, true},
  };
  return kSelectors;
}

}  // namespace lithe::plan
