#pragma once

#include <sys/socket.h>

#include <functional>

namespace lithe::web {

/// Whether a connection to an address may be made. Asked for every address before it is connected to.
using AddressRule = std::function<bool(const sockaddr& address)>;

/// Whether an address belongs to the public internet. Addresses of this machine, of private networks, of links, of
/// groups, of documentation, and IPv6 addresses that stand for IPv4 ones do not.
bool is_public(const sockaddr& address);

}  // namespace lithe::web
