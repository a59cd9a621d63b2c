#include "cli/batch_limits.h"

#include <algorithm>
#include <string>

#include "base/error.h"
#include "cli/number.h"

namespace lithe::cli {

session::BatchLimits BatchLimitFlags::read() const {
  session::BatchLimits result = limits;
  if (memory_gib) result.bytes = std::max<int64_t>(1, static_cast<int64_t>(*memory_gib * (int64_t{1} << 30)));
  return result;
}

void add_batch_limits(CLI::App& app, BatchLimitFlags& flags) {
  add_count(
      app, flags.limits.sequences,
      {.names = "--batch-size", .what = "Largest number of requests that run at a time (default: 16)", .lowest = 1});
  const std::string rows =
      concat("Largest number of prompt tokens in one pass; a longer prompt runs in chunks (default: ",
             flags.limits.prefill_rows, ")");
  add_count(app, flags.limits.prefill_rows, {.names = "--prefill-rows", .what = rows.c_str(), .lowest = 1});
  add_decimal(app, flags.memory_gib,
              {.names = "--memory",
               .what = "GiB for keys, values, activations and decoded pictures (default: half of the free memory)",
               .highest = 1e6,
               .above_lowest = true,
               .type_name = "GIB"});
}

}  // namespace lithe::cli
