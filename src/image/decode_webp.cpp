#include <algorithm>
#include <memory>

#include <webp/decode.h>
#include <webp/demux.h>

#include "image/codecs.h"

namespace lithe::image {
namespace {

constexpr const char* kDamage = "a damaged or truncated WebP file";

WebPBitstreamFeatures features_of(const Encoded& file) {
  WebPBitstreamFeatures features;
  if (WebPGetFeatures(file.data(), file.size(), &features) != VP8_STATUS_OK) file.refuse(kDamage);
  file.check_size(features.width, features.height);
  return features;
}

/// Decodes a still picture, or one frame, into rows that are `row_bytes` apart.
void decode_into(const Encoded& file, const WebPData& data, WEBP_CSP_MODE mode, std::span<uint8_t> pixels,
                 int64_t row_bytes) {
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config)) fail(Fault::internal, "libwebp does not fit its headers");
  config.output.colorspace = mode;
  config.output.is_external_memory = 1;
  config.output.u.RGBA = {pixels.data(), static_cast<int>(row_bytes), pixels.size()};
  const VP8StatusCode status = WebPDecode(data.bytes, data.size, &config);
  if (status == VP8_STATUS_OUT_OF_MEMORY) file.refuse_memory();
  if (status != VP8_STATUS_OK) file.refuse(kDamage);
}

struct FrameOwner {
  WebPIterator frame{};
  FrameOwner() = default;
  FrameOwner(const FrameOwner&) = delete;
  FrameOwner& operator=(const FrameOwner&) = delete;
  ~FrameOwner() { WebPDemuxReleaseIterator(&frame); }
};

/// The first frame on its canvas, which is transparent black elsewhere, as PIL has it.
Image decode_animation(const Encoded& file, int64_t width, int64_t height) {
  const WebPData data{file.data(), file.size()};
  const std::unique_ptr<WebPDemuxer, void (*)(WebPDemuxer*)> demuxer(WebPDemux(&data), WebPDemuxDelete);
  FrameOwner owner;
  const WebPIterator& frame = owner.frame;
  if (!demuxer || !WebPDemuxGetFrame(demuxer.get(), 1, &owner.frame)) file.refuse(kDamage);
  const bool inside = frame.x_offset >= 0 && frame.y_offset >= 0 && frame.width > 0 && frame.height > 0 &&
                      frame.x_offset + int64_t{frame.width} <= width &&
                      frame.y_offset + int64_t{frame.height} <= height;
  if (!inside) file.refuse(kDamage);
  std::vector<uint8_t> canvas(static_cast<std::size_t>(width * height * 4));
  const std::size_t first = static_cast<std::size_t>((frame.y_offset * width + frame.x_offset) * 4);
  const std::size_t bytes = static_cast<std::size_t>(((frame.height - 1) * width + frame.width) * 4);
  decode_into(file, frame.fragment, MODE_RGBA, std::span(canvas).subspan(first, bytes), width * 4);
  return flatten(std::move(canvas), width, height, file.options.alpha);
}

}  // namespace

Measured measure_webp(const Encoded& file) {
  const WebPBitstreamFeatures features = features_of(file);
  return unscaled(features.width, features.height);
}

Image decode_webp(const Encoded& file) {
  const WebPBitstreamFeatures features = features_of(file);
  const int64_t width = features.width, height = features.height;
  if (features.has_animation) return decode_animation(file, width, height);
  const bool with_alpha = features.has_alpha && file.options.alpha == Alpha::on_white;
  const int64_t channels = with_alpha ? 4 : 3;
  std::vector<uint8_t> pixels(static_cast<std::size_t>(width * height * channels));
  decode_into(file, {file.data(), file.size()}, with_alpha ? MODE_RGBA : MODE_RGB, pixels, width * channels);
  if (with_alpha) return flatten(std::move(pixels), width, height, file.options.alpha);
  return {width, height, std::move(pixels)};
}

}  // namespace lithe::image
