#include "routing/selector.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <span>
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
  const Tensor host = scores.detach().to(at::kCPU).to(at::kDouble).contiguous();
  const std::span<const double> numbers(host.const_data_ptr<double>(), static_cast<size_t>(host.numel()));
  std::vector<double> values(numbers.begin(), numbers.end());
  // A NaN, as damaged weights give, would break the order that nth_element relies on.
  for (double& value : values) value = std::isnan(value) ? -std::numeric_limits<double>::infinity() : value;
  std::vector<int64_t> chosen;
  if (keep <= 0) return chosen;
  std::vector<double> sorted = values;
  const auto least = sorted.begin() + keep - 1;  // of those that are chosen
  std::nth_element(sorted.begin(), least, sorted.end(), std::greater<>());
  int64_t equal = keep - std::count_if(sorted.begin(), least, [&](double value) { return value > *least; });
  for (size_t i = 0; i < values.size(); ++i)
    if (values[i] > *least || (values[i] == *least && equal-- > 0)) chosen.push_back(static_cast<int64_t>(i));
  return chosen;
}

}  // namespace lithe::routing
