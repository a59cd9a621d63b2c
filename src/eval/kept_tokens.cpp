#include "eval/kept_tokens.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "session/kept_per_layer.h"

namespace lithe::eval {
namespace {

/// A line that was just made has signed numbers, one that was read has unsigned ones.
bool is_count(const Json& value) {
  return value.is_number_unsigned() || (value.is_number_integer() && value.get<int64_t>() >= 0);
}

std::optional<std::vector<int64_t>> counts_in(const Json& line, const char* key) {
  const auto found = line.find(key);
  if (found == line.end() || !found->is_array()) return std::nullopt;
  std::vector<int64_t> counts;
  for (const Json& value : *found) {
    if (!is_count(value)) return std::nullopt;
    counts.push_back(value.get<int64_t>());
  }
  return counts;
}

}  // namespace

std::optional<KeptTokens> kept_tokens(const session::Answer& answer, const std::vector<std::vector<int64_t>>& needed) {
  if (needed.empty() || answer.kept.size() != needed.size()) return std::nullopt;
  KeptTokens tokens{.vision = answer.timings.vision_rows, .kept = session::kept_per_layer(answer)};
  std::vector<std::set<int64_t>> wanted;
  for (const std::vector<int64_t>& one : needed) {
    wanted.emplace_back(one.begin(), one.end());
    tokens.needed += std::ssize(wanted.back());
  }
  // Layers that a map leaves out ran everything.
  tokens.needed_kept.assign(tokens.kept.size(), tokens.needed);
  for (std::size_t picture = 0; picture < wanted.size(); ++picture) {
    for (const image::LayerKept& layer : answer.kept[picture].layers) {
      const auto found = std::count_if(layer.kept.begin(), layer.kept.end(),
                                       [&](int64_t token) { return wanted[picture].contains(token); });
      tokens.needed_kept.at(static_cast<std::size_t>(layer.layer)) -= std::ssize(wanted[picture]) - found;
    }
  }
  return tokens;
}

Json to_json(const KeptTokens& tokens) {
  return {{"vision_tokens", tokens.vision},
          {"kept", tokens.kept},
          {"needed", tokens.needed},
          {"needed_kept", tokens.needed_kept}};
}

std::optional<KeptTokens> kept_tokens_in(const Json& line) {
  const auto kept = counts_in(line, "kept"), needed_kept = counts_in(line, "needed_kept");
  const auto has_count = [&](const char* key) { return line.contains(key) && is_count(line.at(key)); };
  if (!kept || !needed_kept || kept->size() != needed_kept->size()) return std::nullopt;
  if (!has_count("vision_tokens") || !has_count("needed")) return std::nullopt;
  return KeptTokens{line.at("vision_tokens").get<int64_t>(), line.at("needed").get<int64_t>(), *kept, *needed_kept};
}

void Recall::add(const KeptTokens& tokens) {
  ++questions_;
  sum_.vision += tokens.vision;
  sum_.needed += tokens.needed;
  sum_.kept.resize(std::max(sum_.kept.size(), tokens.kept.size()));
  sum_.needed_kept.resize(sum_.kept.size());
  for (std::size_t layer = 0; layer < tokens.kept.size(); ++layer) {
    sum_.kept[layer] += tokens.kept[layer];
    sum_.needed_kept[layer] += tokens.needed_kept[layer];
  }
}

Json Recall::layers() const {
  const auto share = [](int64_t part, int64_t whole) {
    return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 1.0;
  };
  Json list = Json::array();
  for (std::size_t layer = 0; layer < sum_.kept.size(); ++layer)
    list.push_back({{"layer", layer},
                    {"kept_share", share(sum_.kept[layer], sum_.vision)},
                    {"recall_share", share(sum_.needed_kept[layer], sum_.needed)},
                    {"questions", questions_}});
  return list;
}

}  // namespace lithe::eval
