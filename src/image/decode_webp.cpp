#include <memory>

#include <webp/decode.h>
#include <webp/demux.h>

#include "image/codecs.h"

namespace lithe::image {
namespace {

/// The first frame on its canvas, which is transparent black elsewhere, as PIL has it.
Image decode_animation(const Encoded& file) {
  WebPAnimDecoderOptions options;
  if (!WebPAnimDecoderOptionsInit(&options)) fail(Fault::internal, "libwebpdemux does not fit its headers");
  options.color_mode = MODE_RGBA;
  const WebPData data{file.data(), file.size()};
  const std::unique_ptr<WebPAnimDecoder, void (*)(WebPAnimDecoder*)> decoder(WebPAnimDecoderNew(&data, &options),
                                                                             WebPAnimDecoderDelete);
  WebPAnimInfo info;
  uint8_t* canvas = nullptr;
  int time_ms = 0;
  if (!decoder || !WebPAnimDecoderGetInfo(decoder.get(), &info) ||
      !WebPAnimDecoderGetNext(decoder.get(), &canvas, &time_ms)) {
    file.refuse("a damaged or truncated WebP animation");
  }
  const std::size_t bytes = std::size_t{4} * info.canvas_width * info.canvas_height;
  return flatten(std::vector<uint8_t>(canvas, canvas + bytes), info.canvas_width, info.canvas_height,
                 file.options.alpha);
}

}  // namespace

Image decode_webp(const Encoded& file) {
  WebPBitstreamFeatures features;
  if (WebPGetFeatures(file.data(), file.size(), &features) != VP8_STATUS_OK)
    file.refuse("a damaged or truncated WebP file");
  file.check_size(features.width, features.height);
  if (features.has_animation) return decode_animation(file);
  const bool with_alpha = features.has_alpha && file.options.alpha == Alpha::on_white;
  const int channels = with_alpha ? 4 : 3;
  std::vector<uint8_t> pixels(std::size_t{1} * features.width * features.height * channels);
  const auto decode = with_alpha ? WebPDecodeRGBAInto : WebPDecodeRGBInto;
  if (!decode(file.data(), file.size(), pixels.data(), pixels.size(), features.width * channels)) {
    file.refuse("a damaged or truncated WebP file");
  }
  if (with_alpha) return flatten(std::move(pixels), features.width, features.height, file.options.alpha);
  Image picture;
  picture.width = features.width;
  picture.height = features.height;
  picture.rgb = std::move(pixels);
  return picture;
}

}  // namespace lithe::image
