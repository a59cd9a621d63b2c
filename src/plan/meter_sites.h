#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plan/plan.h"

namespace lithe::plan {

/// The attentions of METER that EAS may skip have numbers: with L layers a stream, 0 to L - 1 are the self-attentions
/// of the text, then come the cross-attentions of the text, the self-attentions of the image, and its cross-attentions.
struct MeterSite {
  std::string stream;
  int64_t layer = 0;
  bool cross = false;
};

/// Which attention a number turns off.
enum class MeterFlags {
  right,      ///< The one that has the number.
  published,  ///< The published code turns off an image's self-attention for its cross-attention, which never is off.
};

/// Throws Error{bad_request} for a number that is not below 4 * layers.
MeterSite meter_site(int64_t number, int64_t layers, MeterFlags flags = MeterFlags::right);

/// The plan that turns these attentions off, in any order.
Plan without_meter_sites(const std::vector<int64_t>& numbers, int64_t layers, MeterFlags flags);

/// The numbers of the attentions that a plan turns off, ascending.
std::vector<int64_t> meter_sites_off(const Plan& plan, int64_t layers);

}  // namespace lithe::plan
