#include "tune/meeting.h"

#include <unistd.h>
#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/printable.h"
#include "io/atomic_file.h"

namespace lithe::tune {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kTry{2000}, kPause{100};
constexpr int64_t kMostPlaceBytes = 4096;
constexpr const char* kThisMachine = "127.0.0.1";  // not every system knows the name localhost

struct Place {
  std::string host;
  uint16_t port = 0;
};

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : kThisMachine;
}

fs::path place_file(const fs::path& folder) {
  return folder / ".rank-0.json";
}

c10::intrusive_ptr<c10d::TCPStore> listen(const std::string& host, uint16_t port, std::chrono::seconds patience) {
  try {
    return c10::make_intrusive<c10d::TCPStore>(
        host, c10d::TCPStoreOptions{.port = port, .isServer = true, .waitWorkers = false, .timeout = patience});
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
    if (place.host == host_name()) place.host = kThisMachine;
    return place;
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// The time that a rank waits for the others, from its start. After a third of it, it says once for whom.
class Patience {
 public:
  Patience(const Launch& launch, const Told& told) : launch_(launch), told_(told) {}

  bool over() const { return Clock::now() >= begin_ + launch_.patience; }
  int64_t seconds() const { return launch_.patience.count(); }
  /// Until it is over, or until it is time to say for whom it waits; at least a moment.
  milliseconds for_now() const {
    const auto until = begin_ + (has_said_ ? milliseconds(launch_.patience) : milliseconds(launch_.patience) / 3);
    return std::max(kPause, std::chrono::duration_cast<milliseconds>(until - Clock::now()));
  }
  /// `whom`: "rank 1"
  template <class Whom>
  void say_if_due(const Whom& whom) {
    if (has_said_ || Clock::now() < begin_ + milliseconds(launch_.patience) / 3) return;
    has_said_ = true;
    if (told_)
      told_(concat("waiting for ", whom(), " to start, for ", seconds(), " s in all; ", kMeetingSeconds,
                   " is for other times"));
  }

 private:
  const Launch& launch_;
  const Told& told_;
  const Clock::time_point begin_ = Clock::now();
  bool has_said_ = false;
};

std::string rank_0() {
  return "rank 0";
}

Store meet_in(const fs::path& folder, const Launch& launch, Patience& patience) {
  io::make_folder(folder);
  if (launch.rank == 0) {
    const auto store = listen(kThisMachine, 0, launch.patience);
    io::write_json_atomic(place_file(folder), {{"host", host_name()}, {"port", store->getPort()}});
    return store;
  }
  for (; !patience.over(); std::this_thread::sleep_for(kPause)) {
    patience.say_if_due(rank_0);
    const std::optional<Place> place = read_place(folder);
    if (!place) continue;
    if (std::optional<Store> store = try_connect(*place, kTry)) return *store;
  }
  fail(Fault::internal, "rank ", launch.rank, " did not find rank 0 in ", folder.string(), " within ",
       patience.seconds(), " s; look at its messages, and if output_dir is not a folder that all machines share, set ",
       "MASTER_ADDR to the machine of rank 0");
}

Store meet_at(const Launch& launch, Patience& patience) {
  if (launch.rank == 0 && !launch.store_is_there) return listen(launch.address, launch.port, launch.patience);
  for (; !patience.over(); std::this_thread::sleep_for(kPause)) {
    patience.say_if_due(rank_0);
    if (std::optional<Store> store = try_connect({launch.address, launch.port}, patience.for_now())) return *store;
  }
  fail(Fault::internal, "rank ", launch.rank, " cannot reach ", in_quotes(launch.address), " port ", launch.port,
       " within ", patience.seconds(), " s; look at the messages of rank 0: MASTER_ADDR must be its machine, and ",
       "MASTER_PORT a port that is free there");
}

std::string here(int64_t rank) {
  return concat("here/", rank);
}

/// Ranks that have not come, as "rank 1" or "ranks 1, 3".
std::string missing(const Store& store, int64_t size) {
  std::string ranks;
  int64_t count = 0;
  for (int64_t rank = 0; rank < size; ++rank) {
    if (store->check({here(rank)})) continue;
    ranks += (count++ == 0 ? "" : ", ") + std::to_string(rank);
  }
  return (count == 1 ? "rank " : "ranks ") + ranks;
}

/// Whether all of these are in the store before the time is over.
bool come(const Store& store, const std::vector<std::string>& all, milliseconds time) {
  try {
    store->wait(all, time);
    return true;
  } catch (const std::exception&) {  // also if whoever holds the store ended: the next question tells
    return false;
  }
}

void wait_for_all(const Store& store, const Launch& launch, Patience& patience) {
  std::vector<std::string> all;
  for (int64_t rank = 0; rank < launch.size; ++rank) all.push_back(here(rank));
  const auto whom = [&] { return missing(store, launch.size); };
  try {
    while (!come(store, all, patience.for_now())) {
      require(!patience.over(), Fault::internal, "of ", launch.size, " ranks, ", whom(), " did not come within ",
              patience.seconds(), " s; look at the messages there, or set ", kMeetingSeconds, " if they start later");
      patience.say_if_due(whom);
    }
  } catch (const Error&) {
    throw;
  } catch (const std::exception&) {
    fail(Fault::internal, "rank 0, or its launcher, ended before all ranks had come; look at its messages");
  }
}

}  // namespace

Store meet_ranks(const Launch& launch, const fs::path& folder, const Told& told) {
  Patience patience(launch, told);
  const bool in_folder = launch.address.empty();
  Store store = in_folder ? meet_in(folder, launch, patience) : meet_at(launch, patience);
  store = c10::make_intrusive<c10d::PrefixStore>(concat("lithe/", launch.attempt, "/"), store);
  store->set(here(launch.rank), std::string("yes"));
  wait_for_all(store, launch, patience);
  std::error_code ignored;
  if (in_folder && launch.rank == 0) fs::remove(place_file(folder), ignored);
  return store;
}

}  // namespace lithe::tune
