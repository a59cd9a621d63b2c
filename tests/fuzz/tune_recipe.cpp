// Fuzz entry: any bytes as a recipe. Build it with -fsanitize=fuzzer for a search; tests/tune/fuzz_test.cpp replays the
// corpus and seeded mutations of it.
#include <cstddef>
#include <cstdint>
#include <stdexcept>

#include "base/error.h"
#include "tune/recipe.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  using namespace lithe;
  try {
    const tune::Recipe recipe = tune::parse_recipe({reinterpret_cast<const char*>(data), size}, "fuzz");
    const Json settings = tune::settings_of(recipe);
    // Bytes that are not UTF-8 have no JSON.
    const std::string text = settings.dump(1, ' ', false, Json::error_handler_t::replace);
    if (text.find("\xef\xbf\xbd") != std::string::npos) return 0;
    if (tune::settings_of(tune::parse_recipe(text, "again")) != settings)
      throw std::logic_error("the settings of a recipe read differently");
    tune::plan_of(recipe, {});
  } catch (const Error&) {
    // The one way to refuse.
  }
  return 0;
}
