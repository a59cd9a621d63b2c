#include "tune/launch.h"

#include <charconv>
#include <string_view>

#include "base/error.h"
#include "base/printable.h"

namespace lithe::tune {
namespace {

constexpr uint16_t kUsualPort = 29500;  ///< As in PyTorch.
constexpr int64_t kMostRanks = 65536;
constexpr int64_t kLongestMeeting = 86400;

int64_t number(const Environment& environment, const char* name, int64_t low, int64_t high) {
  const char* const text = environment(name);
  require(text != nullptr, Fault::bad_request, "the environment lacks ", name,
          "; start the processes with mpirun, srun or torchrun, or set it for each");
  const std::string_view view(text);
  int64_t value = 0;
  const auto read = std::from_chars(view.data(), view.data() + view.size(), value);
  require(read.ec == std::errc() && read.ptr == view.data() + view.size() && value >= low && value <= high,
          Fault::bad_request, "the environment has ", name, "=", in_quotes(text), "; it must be a whole number from ",
          low, " to ", high);
  return value;
}

std::string text_of(const Environment& environment, const char* name) {
  const char* const text = environment(name);
  return text == nullptr ? "" : text;
}

}  // namespace

Launch read_launch(const Environment& environment) {
  Launch launch;
  if (const auto names = launcher_variables(environment)) {
    launch.size = number(environment, names->size, 1, kMostRanks);
    launch.rank = number(environment, names->rank, 0, launch.size - 1);
  }
  if (launch.size == 1) return launch;
  if (environment(kMeetingSeconds) != nullptr)
    launch.patience = std::chrono::seconds(number(environment, kMeetingSeconds, 1, kLongestMeeting));
  launch.address = text_of(environment, "MASTER_ADDR");
  if (launch.address.empty()) return launch;
  launch.port = environment("MASTER_PORT") == nullptr
                    ? kUsualPort
                    : static_cast<uint16_t>(number(environment, "MASTER_PORT", 1, UINT16_MAX));
  launch.store_is_there = text_of(environment, "TORCHELASTIC_USE_AGENT_STORE") == "True";
  launch.attempt = text_of(environment, "TORCHELASTIC_RESTART_COUNT");
  return launch;
}

Launch read_launch() {
  return read_launch(process_environment);
}

int64_t read_local_rank(const Environment& environment) {
  const char* const name = local_rank_variable(environment);
  return name == nullptr ? 0 : number(environment, name, 0, kMostRanks - 1);
}

}  // namespace lithe::tune
