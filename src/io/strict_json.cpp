#include "io/strict_json.h"

#include <set>
#include <vector>

#include "base/error.h"
#include "io/bytes.h"

namespace lithe::io {

nlohmann::json parse_strict(std::string_view text, const std::string& source, int max_depth) {
  using Event = nlohmann::json::parse_event_t;
  std::vector<std::set<std::string>> keys(static_cast<std::size_t>(max_depth) + 2);  // by depth
  const auto check = [&](int depth, Event event, nlohmann::json& value) {
    // `depth` counts the enclosing containers, the one that starts not included.
    if (event == Event::object_start || event == Event::array_start) {
      require(depth < max_depth, Fault::bad_file, source, " is nested deeper than ", max_depth, " levels");
      keys[static_cast<std::size_t>(depth) + 1].clear();
    } else if (event == Event::key) {
      const std::string& key = value.get_ref<const std::string&>();
      require(keys[static_cast<std::size_t>(depth)].insert(key).second, Fault::bad_file, source, " has the key ",
              in_quotes(key), " twice");
    }
    return true;
  };
  try {
    nlohmann::json root = nlohmann::json::parse(text, check);
    require(root.is_object(), Fault::bad_file, source, " is not a JSON object");
    return root;
  } catch (const nlohmann::json::parse_error& error) {
    fail(Fault::bad_file, source, " is not valid JSON at byte ", error.byte);
  } catch (const nlohmann::json::exception&) {
    fail(Fault::bad_file, source, " is not valid JSON: a number is out of range");
  }
}

}  // namespace lithe::io
