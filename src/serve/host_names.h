#pragma once

#include <set>
#include <string>
#include <string_view>

namespace lithe::serve {

struct ServerOptions;

/// By which names clients may call the server (the header Host). A web page of another site can make its own name lead
/// to this machine, and a browser then takes the server for a part of that site. So a server that others are not meant
/// to reach answers only to names that nobody else can give it.
class HostNames {
 public:
  /// Those of the options. If there are none and the server does not listen at a loopback address, any name is right.
  /// Throws Error{bad_request} for a name that is not one.
  explicit HostNames(const ServerOptions& options);

  /// Whether it is one of them, localhost or an address, with or without a port.
  bool hold(std::string_view host) const;

 private:
  std::set<std::string> names_;  // in small letters
  bool any_ = false;
};

}  // namespace lithe::serve
