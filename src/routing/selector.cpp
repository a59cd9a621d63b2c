#include "routing/selector.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "base/error.h"

namespace lithe::routing {
namespace {

using Choose = std::vector<int64_t> (*)(const Candidates&);

constexpr std::pair<const char*, Choose> kFunctions[] = {
    {"router", choose_by_router},
    {"random", choose_at_random},
    {"uniform", choose_uniformly},
    {"first", choose_first},
    {"attention", choose_by_attention},
    {"text_attention", choose_by_attention},
    {"similarity", choose_by_similarity},
    {"key_norm", choose_by_key_norm},
    {"variation", choose_by_variation},
    {"duplication", choose_without_duplicates},
    {"diversity", choose_for_diversity},
    {"relevance", choose_by_relevance},
    {"class_attention", choose_by_picture},
    {"visionzip", choose_by_picture},
    {"prumerge", choose_by_picture},
    {"pooled", choose_by_picture},
    {"given", choose_given},
};

/// Every function with the facts of the same name.
std::vector<Selector> make_selectors() {
  std::vector<Selector> selectors;
  for (const plan::SelectorFacts& facts : plan::known_selectors()) {
    const auto same_name = [&](const auto& function) { return facts.name == function.first; };
    const auto function = std::find_if(std::begin(kFunctions), std::end(kFunctions), same_name);
    require(function != std::end(kFunctions), Fault::internal, "the selector '", facts.name, "' has no function");
    selectors.push_back({&facts, function->second});
  }
  return selectors;
}

}  // namespace

const Selector* find_selector(const std::string& name) {
  static const std::vector<Selector> kSelectors = make_selectors();
  const auto found =
      std::find_if(kSelectors.begin(), kSelectors.end(), [&](const Selector& s) { return name == s.facts->name; });
  return found == kSelectors.end() ? nullptr : &*found;
}

std::vector<int64_t> highest(const Tensor& scores, int64_t keep) {
  const Tensor host = scores.detach().to(at::kCPU, at::kDouble).contiguous();
  const double* data = host.const_data_ptr<double>();
  // A NaN, as damaged weights give, would break the order that nth_element relies on.
  const auto score = [data](int64_t i) {
    return std::isnan(data[i]) ? -std::numeric_limits<double>::infinity() : data[i];
  };
  std::vector<int64_t> order(static_cast<size_t>(host.numel()));
  std::iota(order.begin(), order.end(), 0);
  const auto middle = order.begin() + keep;
  std::nth_element(order.begin(), middle, order.end(),
                   [score](int64_t a, int64_t b) { return score(a) != score(b) ? score(a) > score(b) : a < b; });
  order.erase(middle, order.end());
  std::sort(order.begin(), order.end());
  return order;
}

}  // namespace lithe::routing
