#include "routing/selector.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace lithe::routing {
namespace {

using plan::Scope;

constexpr Selector kSelectors[] = {
    {"router", Scope::group, choose_by_router},         {"random", Scope::group, choose_at_random},
    {"uniform", Scope::group, choose_uniformly},        {"attention", Scope::prompt, choose_by_attention},
    {"similarity", Scope::group, choose_by_similarity}, {"first", Scope::group, choose_first},
};

}  // namespace

const Selector* find_selector(const std::string& name) {
  const auto found =
      std::find_if(std::begin(kSelectors), std::end(kSelectors), [&](const Selector& s) { return name == s.name; });
  return found == std::end(kSelectors) ? nullptr : found;
}

std::vector<plan::SelectorFacts> selector_facts() {
  std::vector<plan::SelectorFacts> facts;
  for (const Selector& selector : kSelectors) facts.push_back({selector.name, selector.scope});
  return facts;
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
