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

TEST(Base64, IsFoundInUrlsOfAnyCase) {
  for (const char* url : {"data:image/png;base64,Zg==", "DATA:;Base64,Zg=="})
    EXPECT_EQ(base64_of_url(url), "Zg==") << url;
  for (const char* url : {"data:image/png,Zg==", "date:;base64,Zg==", "data:base64,Zg==", "data:;base64", ",", ""})
    EXPECT_FALSE(base64_of_url(url).has_value()) << url;
}

}  // namespace
}  // namespace lithe
