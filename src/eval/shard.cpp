#include "eval/shard.h"

#include <charconv>
#include <optional>

#include "base/error.h"
#include "base/launcher.h"
#include "base/printable.h"

namespace lithe::eval {
namespace {

/// More shards than there are machines anywhere.
constexpr int64_t kMostShards = 1'000'000;

std::optional<int64_t> whole(std::string_view text) {
  int64_t value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is =
      !text.empty() && text.front() != '-' && read.ec == std::errc() && read.ptr == text.data() + text.size();
  return is ? std::optional(value) : std::nullopt;
}

bool is_set(const char* name) {
  return process_environment(name) != nullptr;
}

int64_t variable(const char* name) {
  const char* const text = process_environment(name);
  const std::optional<int64_t> value = whole(text == nullptr ? "" : text);
  require(value.has_value(), Fault::bad_request, "--shard auto needs a whole number in the variable ", name,
          "; give the shard as I/N.");
  return *value;
}

Shard checked(const Shard& shard, const std::string& source) {
  require(shard.count >= 1 && shard.count <= kMostShards && shard.index < shard.count, Fault::bad_request, source,
          " is not a shard; N is at least 1, and I goes from 0 to N - 1.");
  return shard;
}

/// An array may begin with any number: Slurm counts `--array=1-8` from 1.
Shard shard_of_process() {
  Shard shard;
  if (is_set("SLURM_ARRAY_TASK_ID")) {
    const int64_t first = is_set("SLURM_ARRAY_TASK_MIN") ? variable("SLURM_ARRAY_TASK_MIN") : 0;
    shard = {variable("SLURM_ARRAY_TASK_ID") - first, variable("SLURM_ARRAY_TASK_COUNT")};
  } else {
    const auto names = launcher_variables(process_environment);
    require(names.has_value(), Fault::bad_request, "--shard auto finds neither SLURM_ARRAY_TASK_ID nor the variables ",
            "of torchrun, mpirun or srun, such as RANK and WORLD_SIZE; give the shard as I/N.");
    shard = {variable(names->rank), variable(names->size)};
  }
  require(shard.index >= 0, Fault::bad_request,
          "SLURM_ARRAY_TASK_ID is below SLURM_ARRAY_TASK_MIN; give the shard as I/N.");
  return checked(shard, concat("The shard of this process, ", text_of(shard), ","));
}

}  // namespace

std::string text_of(const Shard& shard) {
  return concat(shard.index, "/", shard.count);
}

std::string name_of(const Shard& shard) {
  return concat("shard-", shard.index, "-of-", shard.count);
}

Shard parse_shard(const std::string& text) {
  if (text == "auto") return shard_of_process();
  const std::size_t slash = text.find('/');
  const auto index = whole(std::string_view(text).substr(0, slash));
  const auto count = whole(slash == text.npos ? std::string_view() : std::string_view(text).substr(slash + 1));
  require(index && count, Fault::bad_request, "--shard ", in_quotes(text),
          " is not a shard; give I/N, such as 0/4, or auto.");
  return checked({*index, *count}, concat("--shard ", in_quotes(text)));
}

}  // namespace lithe::eval
