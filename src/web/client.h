#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "web/address.h"

namespace lithe::web {

/// What is asked of a server, and how long it may take. Only http and https; no proxy, no cookies, no stored passwords.
struct Question {
  std::string url;                                 ///< Without a user name or password.
  std::optional<std::string> json;                 ///< Posted; absent: the URL is got.
  std::string key;                                 ///< Of the header Authorization; empty: none.
  int64_t redirects = 0;                           ///< That are followed, at most; with 0, a redirect is the reply.
  std::size_t most_bytes = std::size_t{16} << 20;  ///< Of the reply's body.
  std::chrono::milliseconds patience{0};           ///< For all of it; 0: no limit.
  std::chrono::seconds silence{60};                ///< As long as no byte may come.
  AddressRule may_reach;                           ///< Empty: any address.
  std::function<bool()> goes_on;                   ///< Asked now and then; false ends it. Empty: always true.
  std::function<bool(std::size_t)> has_room;       ///< The same for so many more bytes of the reply's body.
};

struct Reply {
  int64_t status = 0;
  std::string body;
};

/// Whether a text begins as a URL of http or https does.
bool is_web_url(std::string_view text);

/// Throws Error{bad_request} if a URL is not a sound one of http or https, or is longer than 8 KiB.
void check_url(const std::string& url);

/// Asks and waits for the reply. Any thread may call it. Throws Error{bad_request} that says what failed, if there is
/// no whole reply.
Reply ask(const Question& question);

}  // namespace lithe::web
