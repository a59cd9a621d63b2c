#include "serve/host_names.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>

#include "base/error.h"
#include "base/lower_case.h"
#include "base/printable.h"
#include "serve/server.h"

namespace lithe::serve {
namespace {

bool is_address(const std::string& text) {
  boost::system::error_code error;
  boost::asio::ip::make_address(text, error);
  return !error;
}

bool is_loopback(const std::string& place) {
  boost::system::error_code error;
  return place == "localhost" || boost::asio::ip::make_address(place, error).is_loopback();
}

/// "[::1]:80" -> "::1", "Name.:80" -> "name"
std::string without_port(std::string_view host) {
  if (host.starts_with('[')) return std::string(host.substr(1, host.find(']') - 1));
  host = host.substr(0, host.find(':'));
  if (host.ends_with('.')) host.remove_suffix(1);
  return in_lower_case(std::string(host));
}

bool is_name(const std::string& text) {
  const auto may_be_in = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  };
  return !text.empty() && text.front() != '.' && std::all_of(text.begin(), text.end(), may_be_in);
}

}  // namespace

HostNames::HostNames(const ServerOptions& options) : any_(options.allowed_hosts.empty() && !is_loopback(options.host)) {
  for (const std::string& name : options.allowed_hosts) {
    const std::string small = in_lower_case(name);
    require(is_name(small), Fault::bad_request, "--allowed-host is ", in_quotes(name),
            "; give a name without a port, such as chat.example.org.");
    names_.insert(without_port(small));
  }
}

bool HostNames::hold(std::string_view host) const {
  if (any_) return true;
  const std::string name = without_port(host);
  return name == "localhost" || name.ends_with(".localhost") || is_address(name) || names_.contains(name);
}

}  // namespace lithe::serve
