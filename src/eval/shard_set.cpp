#include "eval/shard_set.h"

#include <string>

#include "base/error.h"
#include "base/printable.h"
#include "eval/settings.h"

namespace lithe::eval {

void ShardSet::add(const Shard& shard, const std::filesystem::path& place, const Json& settings) {
  if (places_.empty()) {
    count_ = shard.count;
    first_ = place;
    settings_ = settings;
  }
  const auto refuse = [&](const std::string& what) {
    fail(Fault::bad_request, "The ", words_.places, " ", in_quotes(first_.string()), " and ", in_quotes(place.string()),
         " hold shards of ", words_.runs, " with another ", what, "; give the shards of one ", words_.run, ".");
  };
  const std::string key = differing_setting(settings_, settings);
  if (!key.empty()) refuse(key);
  if (count_ != shard.count) refuse(concat("number of shards, ", count_, " and ", shard.count));
  const auto [twin, is_new] = places_.emplace(shard.index, place);
  require(is_new, Fault::bad_request, "The ", words_.places, " ", in_quotes(twin->second.string()), " and ",
          in_quotes(place.string()), " both hold shard ", text_of(shard), "; leave one of them out.");
}

void ShardSet::check_whole() const {
  for (int64_t index = 0; index < count_; ++index)
    require(places_.contains(index), Fault::bad_request, "Shard ", text_of({index, count_}), " is missing; give all ",
            count_, " shards.");
}

}  // namespace lithe::eval
