// Fuzz entry: any bytes as a plan, and as a config.json with p-MoD keys. Build it with -fsanitize=fuzzer for a search;
// tests/plan/fuzz_test.cpp replays the corpus and seeded mutations of it.
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "base/error.h"
#include "plan/cost.h"
#include "plan/parse.h"
#include "plan/schedule.h"
#include "plan/table.h"
#include "plan/validate.h"

namespace {

using namespace lithe;
using namespace lithe::plan;

void as_plan(const Json& json, const ModelFacts& model) {
  const Plan plan = parse_plan(json, "fuzz", model);
  const Plan again = parse_plan(parse_json(to_json(plan).dump(), "again"), "again", model);
  if (!(plan == again)) throw std::logic_error("a written plan reads differently");
  to_text(cost(plan, model, {.vision_tokens = 30, .high_res_tokens = 20, .text_tokens = 9, .text_before = 4}));
}

void as_config(const Json& json, const ModelFacts& model) {
  const JsonView config(json, "fuzz");
  if (is_public_pmod(config)) validate(from_public_pmod_config(config), model);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  static const ModelFacts kModel = shape_named("llava-next-7b");
  using Reader = void (*)(const Json&, const ModelFacts&);
  for (const Reader read : {Reader{as_plan}, Reader{as_config}}) {
    try {
      read(parse_json({reinterpret_cast<const char*>(data), size}, "fuzz"), kModel);
    } catch (const Error&) {
      // The one way to refuse.
    }
  }
  return 0;
}
