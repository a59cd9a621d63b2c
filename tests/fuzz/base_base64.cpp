// Fuzz entry: any bytes as a data: URL and as base64. Build it with -fsanitize=fuzzer for a search;
// tests/base/fuzz_test.cpp replays the corpus and seeded mutations of it.
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include "base/base64.h"

namespace {

using namespace lithe;

/// The usual alphabet without padding, and without the last character, of which some bits may be unused.
std::string comparable(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string plain(text.substr(0, text.empty() ? 0 : text.size() - 1));
  for (char& c : plain) c = c == '-' ? '+' : c == '_' ? '/' : c;
  return plain;
}

void as_base64(std::string_view text) {
  const auto bytes = decode_base64(text);
  if (!bytes) return;
  const std::string written = encode_base64(*bytes);
  if (comparable(written) != comparable(text)) throw std::logic_error("other bytes than the text says");
  if (decode_base64(written) != bytes) throw std::logic_error("written base64 reads differently");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  as_base64(text);
  const auto inside = base64_of_url(text);
  if (!inside) return 0;
  if (!text.ends_with(*inside) || inside->size() >= size) throw std::logic_error("not a part of the URL");
  as_base64(*inside);
  return 0;
}
