#include "serve/raw_prompts.h"

#include <algorithm>
#include <iterator>

#include "base/error.h"
#include "serve/fields.h"
#include "serve/refusal.h"

namespace lithe::serve {
namespace {

RawPrompt read_one(const Json& json, const std::string& field) {
  if (json.is_string()) return json.get<std::string>();
  require_field(json.is_array(), field,
                concat(field, " is neither a text nor a list of token ids; give a prompt, or a list of prompts."));
  return read_token_ids(json, field);
}

}  // namespace

std::vector<RawPrompt> read_raw_prompts(const Json& json, const std::string& field, int64_t most) {
  const bool is_list = json.is_array() && !json.empty() && !json.front().is_number();
  if (!is_list) return {read_one(json, field)};
  require_field(std::ssize(json) <= most, field,
                concat(field, " has ", json.size(), " prompts; this server takes at most ", most,
                       " in one request, so send several requests."));
  std::vector<RawPrompt> prompts;
  for (std::size_t i = 0; i < json.size(); ++i) prompts.push_back(read_one(json[i], place_in(field, i)));
  return prompts;
}

std::vector<int64_t> read_token_ids(const Json& json, const std::string& field) {
  const auto is_id = [](const Json& one) {
    return one.is_number_integer() && one.get<double>() >= 0 && one.get<double>() < 1e15;
  };
  require_field(json.is_array() && std::all_of(json.begin(), json.end(), is_id), field,
                concat(field, " is not a list of token ids; give whole numbers from 0 on."));
  return json.get<std::vector<int64_t>>();
}

}  // namespace lithe::serve
