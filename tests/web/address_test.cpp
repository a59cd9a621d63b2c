#include "web/address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <string>

namespace lithe::web {
namespace {

bool is_public_text(const std::string& text) {
  sockaddr_storage place{};
  auto& four = reinterpret_cast<sockaddr_in&>(place);
  auto& six = reinterpret_cast<sockaddr_in6&>(place);
  if (::inet_pton(AF_INET, text.c_str(), &four.sin_addr) == 1) {
    place.ss_family = AF_INET;
  } else {
    EXPECT_EQ(::inet_pton(AF_INET6, text.c_str(), &six.sin6_addr), 1) << text;
    place.ss_family = AF_INET6;
  }
  return is_public(reinterpret_cast<const sockaddr&>(place));
}

TEST(Address, OfTheInternetIsPublic) {
  for (const char* text :
       {"1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
        "169.253.255.255", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255", "198.17.255.255",
        "198.20.0.0", "223.255.255.255", "2606:4700::1111", "2a00::1", "2400:cb00::1"})
    EXPECT_TRUE(is_public_text(text)) << text;
}

TEST(Address, OfAnythingElseIsNot) {
  for (const char* text :
       {"0.0.0.0",     "0.1.2.3",         "10.0.0.1",        "10.255.255.255", "100.64.0.0",     "100.127.255.255",
        "127.0.0.1",   "127.255.255.255", "169.254.169.254", "172.16.0.1",     "172.31.255.255", "192.0.0.8",
        "192.0.2.1",   "192.88.99.1",     "192.168.0.1",     "198.18.0.1",     "198.19.255.255", "198.51.100.1",
        "203.0.113.9", "224.0.0.1",       "239.1.2.3",       "240.0.0.1",      "255.255.255.255"})
    EXPECT_FALSE(is_public_text(text)) << text;
  for (const char* text : {"::", "::1", "::ffff:1.1.1.1", "::ffff:127.0.0.1", "::1.1.1.1", "64:ff9b::101:101",
                           "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:101:101::1", "3fff::1", "4000::1",
                           "fc00::1", "fd12::1", "fe80::1", "fec0::1", "ff02::1"})
    EXPECT_FALSE(is_public_text(text)) << text;
}

TEST(Address, OfAnotherFamilyIsNot) {
  sockaddr_storage place{};
  place.ss_family = AF_UNIX;
  EXPECT_FALSE(is_public(reinterpret_cast<const sockaddr&>(place)));
}

}  // namespace
}  // namespace lithe::web
