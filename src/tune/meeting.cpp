#include "tune/meeting.h"

#include <unistd.h>
#include <array>
#include <chrono>
#include <optional>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "base/error.h"
#include "base/json.h"
#include "base/printable.h"
#include "io/atomic_file.h"

namespace lithe::tune {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::chrono::seconds kPatience{300};  ///< For ranks that have not come yet.
constexpr milliseconds kTry{2000}, kPause{100};
constexpr int64_t kMostPlaceBytes = 4096;

struct Place {
  std::string host;
  uint16_t port = 0;
};

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "localhost";
}

fs::path place_file(const fs::path& folder) {
  return folder / ".rank-0.json";
}

c10::intrusive_ptr<c10d::TCPStore> listen(const std::string& host, uint16_t port) {
  try {
    return c10::make_intrusive<c10d::TCPStore>(
        host, c10d::TCPStoreOptions{.port = port, .isServer = true, .waitWorkers = false, .timeout = kPatience});
  } catch (const std::exception&) {
    fail(Fault::internal, "rank 0 cannot listen on port ", port, " of ", in_quotes(host),
         "; set MASTER_ADDR to its machine and MASTER_PORT to a free port");
  }
}

std::optional<Store> try_connect(const Place& place, milliseconds patience) {
  try {
    return Store(c10::make_intrusive<c10d::TCPStore>(
        place.host,
        c10d::TCPStoreOptions{.port = place.port, .isServer = false, .waitWorkers = false, .timeout = patience}));
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

/// Where rank 0 says that it is; a file that a killed run has left names a port where nobody listens.
std::optional<Place> read_place(const fs::path& folder) {
  try {
    const fs::path file = place_file(folder);
    const Json json = read_json_file(file, kMostPlaceBytes);
    const JsonView view(json, file.string());
    Place place{view.text("host"), static_cast<uint16_t>(view.integer("port"))};
    if (place.host == host_name()) place.host = "localhost";
    return place;
  } catch (const Error&) {
    return std::nullopt;
  }
}

Store meet_in(const fs::path& folder, int64_t rank) {
  io::make_folder(folder);
  if (rank == 0) {
    const auto store = listen("localhost", 0);
    io::write_json_atomic(place_file(folder), {{"host", host_name()}, {"port", store->getPort()}});
    return store;
  }
  for (const auto end = Clock::now() + kPatience; Clock::now() < end; std::this_thread::sleep_for(kPause)) {
    const std::optional<Place> place = read_place(folder);
    if (!place) continue;
    if (std::optional<Store> store = try_connect(*place, kTry)) return *store;
  }
  fail(Fault::internal, "rank ", rank, " did not find rank 0 in ", folder.string(), " within ", kPatience.count(),
       " s; output_dir must be a folder that all machines share, or set MASTER_ADDR to the machine of rank 0");
}

Store meet_at(const Launch& launch) {
  if (launch.rank == 0 && !launch.store_is_there) return listen(launch.address, launch.port);
  const std::optional<Store> store = try_connect({launch.address, launch.port}, kPatience);
  require(store.has_value(), Fault::internal, "rank ", launch.rank, " cannot reach ", in_quotes(launch.address),
          " port ", launch.port,
          "; MASTER_ADDR must be the machine of rank 0, and MASTER_PORT a port that is free there");
  return *store;
}

std::string here(int64_t rank) {
  return concat("here/", rank);
}

/// Ranks that have not come, as "1, 3".
std::string missing(const Store& store, int64_t size) {
  std::string text;
  for (int64_t rank = 0; rank < size; ++rank)
    if (!store->check({here(rank)})) text += (text.empty() ? "" : ", ") + std::to_string(rank);
  return text;
}

}  // namespace

Store meet_ranks(const Launch& launch, const fs::path& folder) {
  const bool in_folder = launch.address.empty();
  Store store = in_folder ? meet_in(folder, launch.rank) : meet_at(launch);
  store = c10::make_intrusive<c10d::PrefixStore>(concat("lithe/", launch.attempt, "/"), store);
  store->set(here(launch.rank), std::string("yes"));
  std::vector<std::string> all;
  for (int64_t rank = 0; rank < launch.size; ++rank) all.push_back(here(rank));
  try {
    store->wait(all, kPatience);
  } catch (const std::exception&) {
    fail(Fault::internal, "of ", launch.size, " ranks these did not come within ", kPatience.count(),
         " s: ", missing(store, launch.size), "; look at their messages");
  }
  std::error_code ignored;
  if (in_folder && launch.rank == 0) fs::remove(place_file(folder), ignored);
  return store;
}

}  // namespace lithe::tune
