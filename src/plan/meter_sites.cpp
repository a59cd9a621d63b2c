#include "plan/meter_sites.h"

#include <map>
#include <utility>

#include "base/error.h"

namespace lithe::plan {

MeterSite meter_site(int64_t number, int64_t layers, MeterFlags flags) {
  require(number >= 0 && number < 4 * layers, Fault::bad_request, "attention ", number,
          " of METER does not exist; with ", layers, " layers a stream there are 0 to ", 4 * layers - 1);
  const int64_t group = number / layers;
  const bool cross = group == 1 || (group == 3 && flags == MeterFlags::right);
  return {group < 2 ? "text" : "image", number % layers, cross};
}

Plan without_meter_sites(const std::vector<int64_t>& numbers, int64_t layers, MeterFlags flags) {
  std::map<std::pair<std::string, int64_t>, LayerPlan> entries;
  for (const int64_t number : numbers) {
    const MeterSite site = meter_site(number, layers, flags);
    LayerPlan& entry = entries[{site.stream, site.layer}];
    entry.stream = site.stream;
    entry.layer = site.layer;
    (site.cross ? entry.cross_attention : entry.self_attention) = false;
  }
  Plan plan{.name = numbers.empty() ? "dense" : "eas"};
  for (const auto& [key, entry] : entries) plan.layers.push_back(entry);
  return plan;
}

std::vector<int64_t> meter_sites_off(const Plan& plan, int64_t layers) {
  std::vector<int64_t> off;
  for (int64_t number = 0; number < 4 * layers; ++number) {
    const MeterSite site = meter_site(number, layers);
    const LayerPlan* entry = plan.find(site.stream, site.layer);
    if (entry && !(site.cross ? entry->cross_attention : entry->self_attention)) off.push_back(number);
  }
  return off;
}

}  // namespace lithe::plan
