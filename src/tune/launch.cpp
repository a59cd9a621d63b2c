#include "tune/launch.h"

#include <array>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "base/printable.h"

namespace lithe::tune {
namespace {

constexpr uint16_t kUsualPort = 29500;  ///< As in PyTorch.
constexpr int64_t kMostRanks = 65536;

struct Names {
  const char *rank, *size;
};

/// SLURM_NTASKS is set in a batch script too, which runs alone; the number of tasks of a step is srun's.
constexpr std::array<Names, 4> kLaunchers{{{"RANK", "WORLD_SIZE"},
                                           {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
                                           {"PMI_RANK", "PMI_SIZE"},
                                           {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS"}}};

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
  for (const Names& names : kLaunchers) {
    if (environment(names.size) == nullptr) continue;
    launch.size = number(environment, names.size, 1, kMostRanks);
    launch.rank = number(environment, names.rank, 0, launch.size - 1);
    break;
  }
  if (launch.size == 1) return launch;
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
  return read_launch([](const char* name) -> const char* { return std::getenv(name); });
}

}  // namespace lithe::tune
