#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

#include "image/decode.h"
#include "serve/call.h"
#include "web/address.h"

namespace lithe::serve {

/// What the pictures of one request that are fetched may take together.
struct FetchLimits {
  std::size_t bytes = std::size_t{64} << 20;
  std::chrono::milliseconds patience{20'000};
  int64_t redirects = 3;  ///< Of one picture.
};

/// What the caller of a fetch is asked meanwhile, from the thread that fetches.
struct FetchWatch {
  std::function<bool()> goes_on;                    ///< False: it is given up. Empty: always true.
  std::function<bool(std::size_t bytes)> has_room;  ///< For so many more; false ends it. Empty: always true.
};

/// Fetches the pictures that requests name by http: and https: URLs.
class PictureFetcher {
 public:
  /// `may_reach` is asked for every address before it is connected to, also after a redirect.
  explicit PictureFetcher(web::AddressRule may_reach = web::is_public, FetchLimits limits = {})
      : may_reach_(std::move(may_reach)), limits_(limits) {}

  /// Puts the pictures that `call` names into its request, at their places. Takes as long as the limits say, so it has
  /// threads of its own. Throws Refusal about the picture's field or of status 503 if there is no room, and Error for
  /// pictures that can't be read.
  void fetch(Call& call, const image::DecodeOptions& decode, const FetchWatch& watch = {}) const;
  /// Gives up what is being fetched. From any thread.
  void stop() { stopped_ = true; }

  const FetchLimits& limits() const { return limits_; }

 private:
  web::AddressRule may_reach_;
  FetchLimits limits_;
  std::atomic<bool> stopped_ = false;
};

}  // namespace lithe::serve
