#include "base/base64.h"

#include <gtest/gtest.h>

#include <string>

namespace lithe {
namespace {

std::string encoded(const std::string& bytes) {
  return encode_base64(std::as_bytes(std::span(bytes)));
}

TEST(Base64, WritesWhatTheStandardSays) {  // RFC 4648, section 10
  EXPECT_EQ(encoded(""), "");
  EXPECT_EQ(encoded("f"), "Zg==");
  EXPECT_EQ(encoded("fo"), "Zm8=");
  EXPECT_EQ(encoded("foo"), "Zm9v");
  EXPECT_EQ(encoded("foobar"), "Zm9vYmFy");
}

TEST(Base64, ReadsWhatItWrites) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) {
    const auto read = decode_base64(encoded(bytes));
    ASSERT_TRUE(read.has_value());
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(read->data()), read->size()), bytes);
    bytes += static_cast<char>(i);
  }
}

}  // namespace
}  // namespace lithe
