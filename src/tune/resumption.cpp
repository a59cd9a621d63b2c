#include "tune/resumption.h"

#include "base/error.h"

namespace lithe::tune {

std::string compare_settings(const Recipe& recipe, const std::string& before,
                             const std::function<void(const std::string&)>& told) {
  const Json settings = settings_of(recipe);
  const Json old = before.empty() ? settings : Json::parse(before, nullptr, false);
  for (const auto& [key, value] : settings.items()) {
    const bool same = old.is_object() && old.contains(key) && old.at(key) == value;
    if (!same && key != "resume_from_checkpoint" && key != "output_dir" && told)
      told(concat("goes on with another ", key, " than before, so its losses may be other ones"));
  }
  return settings.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace lithe::tune
