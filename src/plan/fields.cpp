#include "plan/fields.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "plan/facts.h"

namespace lithe::plan {
namespace {

constexpr std::size_t kMaxTextBytes = 200;

/// The beginning of a value from outside, for an error.
std::string shown(const Json& value) {
  if (value.is_structured()) return value.is_array() ? "a list" : "an object";
  std::string text = value.dump(-1, ' ', true);
  if (text.size() > kMaxTextBytes) text = text.substr(0, kMaxTextBytes) + "..";
  return text;
}

WeightNorm read_norm(const JsonView& gate) {
  const std::string name = short_text(gate, "norm", "");
  for (const WeightNorm norm : {WeightNorm::tanh, WeightNorm::softmax, WeightNorm::sigmoid, WeightNorm::identity}) {
    if (name == to_string(norm)) return norm;
  }
  fail(Fault::bad_file, gate.source(), ": the norm '", name,
       "' is not known; expected tanh, softmax, sigmoid or identity");
}

}  // namespace

JsonView object_with(const Json& json, const std::string& source, const std::vector<const char*>& keys) {
  const JsonView view(json, source);
  for (const auto& [key, value] : json.items()) {
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) continue;
    std::string known;
    for (const char* name : keys) known += (known.empty() ? "" : ", ") + std::string(name);
    fail(Fault::bad_file, source, ": the key ", shown(Json(key)), " is not known; expected ", known);
  }
  return view;
}

int64_t whole(const Json& value, const std::string& what, int64_t low, int64_t high) {
  // A JSON integer beyond int64 is held unsigned and would wrap.
  const bool wraps =
      value.is_number_unsigned() && value.get<uint64_t>() > uint64_t(std::numeric_limits<int64_t>::max());
  const bool good = value.is_number_integer() && !wraps && value.get<int64_t>() >= low && value.get<int64_t>() <= high;
  require(good, Fault::bad_file, what, " must be an integer from ", low, " to ", high, ", got ", shown(value));
  return value.get<int64_t>();
}

std::string short_text(const JsonView& view, const char* key, const std::string& fallback) {
  if (!view.has(key)) return fallback;
  const Json& value = view.json()[key];
  const bool good = value.is_string() && value.get_ref<const std::string&>().size() <= kMaxTextBytes;
  require(good, Fault::bad_file, view.source(), ": '", key, "' must be a string of at most ", kMaxTextBytes,
          " bytes, got ", shown(value));
  return value.get<std::string>();
}

std::optional<Gate> read_gate(const JsonView& view, const std::optional<Gate>& fallback) {
  if (!view.has("gate")) return fallback;
  const Json& value = view.json()["gate"];
  if (value == "tanh_norm") return Gate{};
  if (value == "none") return std::nullopt;
  require(value.is_object(), Fault::bad_file, view.source(),
          ": 'gate' must be \"tanh_norm\", \"none\" or {\"norm\", \"scale\", \"bias\"}, got ", shown(value));
  const JsonView gate = object_with(value, view.source() + ": gate", {"norm", "scale", "bias"});
  return Gate{.norm = read_norm(gate), .scale = gate.number("scale"), .bias = gate.number("bias")};
}

Group read_group(const JsonView& view, Group fallback) {
  const std::string name = short_text(view, "group", to_string(fallback));
  for (const Group group : {Group::vision, Group::vision_high_res, Group::text, Group::padding, Group::all}) {
    if (name == to_string(group)) return group;
  }
  fail(Fault::bad_file, view.source(), ": the group '", name,
       "' is not known; expected vision, vision_high_res, text, padding or all");
}

uint64_t read_seed(const JsonView& view) {
  if (!view.has("seed")) return 0;
  const Json& value = view.json()["seed"];
  require(value.is_number_unsigned(), Fault::bad_file, view.source(), ": 'seed' must be an integer of 0 or more, got ",
          shown(value));
  return value.get<uint64_t>();
}

void read_keep(const JsonView& view, Rule& rule) {
  if (view.has("keep_share")) rule.keep_share = view.number("keep_share");
  if (view.has("keep_count")) {
    rule.keep_count =
        whole(view.json()["keep_count"], view.source() + ": 'keep_count'", 0, std::numeric_limits<int64_t>::max());
  }
}

std::vector<int64_t> read_layers(const JsonView& view, int64_t layers, int64_t fallback_from) {
  const std::string& source = view.source();
  require(!view.has("layers") || !view.has("from"), Fault::bad_file, source,
          ": 'layers' and 'from' exclude each other; give one of them");
  int64_t from = fallback_from;
  if (view.has("layers") && view.json()["layers"] != "all") {
    const Json& list = view.json()["layers"];
    require(list.is_array() && list.size() <= std::size_t(kMaxLayers), Fault::bad_file, source,
            ": 'layers' must be a list of layers or \"all\", got ", shown(list));
    std::vector<int64_t> result;
    for (const Json& layer : list) result.push_back(whole(layer, source + ": a layer of 'layers'", 0, kMaxLayers));
    std::sort(result.begin(), result.end());
    const auto twice = std::adjacent_find(result.begin(), result.end());
    if (twice != result.end()) fail(Fault::bad_file, source, ": layer ", *twice, " is listed twice");
    return result;
  }
  if (view.has("layers")) from = 0;
  if (view.has("from")) from = whole(view.json()["from"], source + ": 'from'", 0, std::max<int64_t>(layers - 1, 0));
  require(from >= 0, Fault::bad_file, source, ": the key 'layers' is missing");
  std::vector<int64_t> result(static_cast<std::size_t>(std::max<int64_t>(layers - from, 0)));
  std::iota(result.begin(), result.end(), from);
  return result;
}

}  // namespace lithe::plan
