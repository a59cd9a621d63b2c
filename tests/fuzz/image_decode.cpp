// Fuzz entry: any bytes as a picture, in both treatments of transparency; what decodes is resized and tiled. Build it
// with -fsanitize=fuzzer for a search; tests/image/fuzz_test.cpp replays the corpus and seeded mutations of it.
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>

#include "base/error.h"
#include "image/decode.h"
#include "image/preprocess.h"

namespace {

using namespace lithe::image;

constexpr int64_t kMaxFuzzPixels = 1 << 20;  // Keeps a run short; twice as many in JPEG files.

PreprocessConfig anyres_config() {
  PreprocessConfig config;
  config.aspect = Aspect::anyres;
  config.shortest_edge = 8;
  config.crop = {8, 8};
  config.rescale_factor = 1 / 255.0;
  config.deviation = {1, 1, 1};
  config.pinpoints = {{8, 16}, {16, 8}, {16, 16}};
  return config;
}

void read(std::span<const std::byte> bytes, Alpha alpha) {
  const DecodeOptions options{.alpha = alpha, .max_pixels = kMaxFuzzPixels};
  const Header header = read_header(bytes, "fuzz", options);
  const Image picture = decode_image(bytes, "fuzz", options);
  const bool sane = picture.width > 0 && picture.height > 0 && picture.width * picture.height <= 2 * kMaxFuzzPixels &&
                    static_cast<int64_t>(picture.rgb.size()) == picture.width * picture.height * 3 &&
                    picture.size() == header.size && header.decoding_bytes >= static_cast<int64_t>(picture.rgb.size());
  if (!sane) throw std::logic_error("a decoded picture does not hold together");
  preprocess(picture, anyres_config());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  for (const Alpha alpha : {Alpha::drop, Alpha::on_white}) {
    try {
      read(std::as_bytes(std::span(data, size)), alpha);
    } catch (const lithe::Error&) {
      // The one way to refuse.
    }
  }
  return 0;
}
