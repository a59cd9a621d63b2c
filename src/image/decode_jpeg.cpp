#include <algorithm>
#include <csetjmp>
#include <cstdio>
// jpeglib.h needs size_t and FILE declared before it.
#include <jerror.h>
#include <jpeglib.h>

#include "image/codecs.h"

namespace lithe::image {
namespace {

constexpr int kMaxScans = 500;  // A progressive file needs about ten; thousands of empty ones stall a decoder.
constexpr int64_t kJpegPixelsPerByte = 512;  // A Huffman-coded block of 64 pixels takes at least one bit.
constexpr int64_t kMostScaled = 12;          // Times max_pixels: a gigapixel, past which decoding takes minutes.

/// A decoder whose errors jump back to the latest `landing`. Functions that set one hold no object with a destructor.
struct Jpeg {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  jpeg_source_mgr input{};
  jpeg_progress_mgr progress{};
  std::jmp_buf landing{};
  bool no_memory = false;
  bool ended = false;  ///< Every byte was handed out, and more were asked for.
  char message[JMSG_LENGTH_MAX] = "";
  static constexpr JOCTET kEnd[2] = {0xFF, JPEG_EOI};

  Jpeg() = default;
  Jpeg(const Jpeg&) = delete;
  Jpeg& operator=(const Jpeg&) = delete;
  ~Jpeg() { jpeg_destroy_decompress(&info); }
};

Jpeg& owner(j_common_ptr info) {
  return *static_cast<Jpeg*>(info->client_data);
}
Jpeg& owner(j_decompress_ptr info) {
  return *static_cast<Jpeg*>(info->client_data);
}

[[noreturn]] void on_error(j_common_ptr info) {
  Jpeg& jpeg = owner(info);
  jpeg.no_memory = info->err->msg_code == JERR_OUT_OF_MEMORY;
  info->err->format_message(info, jpeg.message);
  std::longjmp(jpeg.landing, 1);
}

/// Warnings are not faults: PIL decodes such files too.
void on_message(j_common_ptr, int) {}

/// The bytes are used up: hands out an end marker, with which libjpeg winds up by itself.
boolean on_empty(j_decompress_ptr info) {
  Jpeg& jpeg = owner(info);
  jpeg.ended = true;
  jpeg.input.next_input_byte = Jpeg::kEnd;
  jpeg.input.bytes_in_buffer = sizeof(Jpeg::kEnd);
  return TRUE;
}

void on_skip(j_decompress_ptr info, long count) {
  Jpeg& jpeg = owner(info);
  if (count <= 0) return;
  if (static_cast<std::size_t>(count) > jpeg.input.bytes_in_buffer) {
    on_empty(info);
    return;
  }
  jpeg.input.next_input_byte += count;
  jpeg.input.bytes_in_buffer -= static_cast<std::size_t>(count);
}

void on_progress(j_common_ptr info) {
  const auto* decoder = reinterpret_cast<j_decompress_ptr>(info);
  if (decoder->input_scan_number <= kMaxScans) return;
  std::snprintf(owner(info).message, JMSG_LENGTH_MAX, "more than %d scans", kMaxScans);
  std::longjmp(owner(info).landing, 1);
}

void connect(Jpeg& jpeg, const Encoded& file) {
  jpeg.info.err = jpeg_std_error(&jpeg.errors);
  jpeg.info.client_data = &jpeg;
  jpeg.errors.error_exit = on_error;
  jpeg.errors.emit_message = on_message;
  jpeg.input.init_source = [](j_decompress_ptr) {};
  jpeg.input.term_source = [](j_decompress_ptr) {};
  jpeg.input.fill_input_buffer = on_empty;
  jpeg.input.skip_input_data = on_skip;
  jpeg.input.resync_to_restart = jpeg_resync_to_restart;
  jpeg.input.next_input_byte = file.data();
  jpeg.input.bytes_in_buffer = file.size();
  jpeg.progress.progress_monitor = on_progress;
}

bool read_header(Jpeg& jpeg) {
  if (setjmp(jpeg.landing)) return false;
  jpeg_create_decompress(&jpeg.info);
  jpeg.info.client_data = &jpeg;
  jpeg.info.src = &jpeg.input;
  jpeg.info.progress = &jpeg.progress;
  jpeg_read_header(&jpeg.info, TRUE);
  return true;
}

/// Decodes into rows of `pixels`.  [height, width, channels]
bool read_rows(Jpeg& jpeg, uint8_t* pixels, std::size_t row_bytes) {
  if (setjmp(jpeg.landing)) return false;
  jpeg_start_decompress(&jpeg.info);
  while (!jpeg.ended && jpeg.info.output_scanline < jpeg.info.output_height) {
    JSAMPROW row = pixels + row_bytes * jpeg.info.output_scanline;
    jpeg_read_scanlines(&jpeg.info, &row, 1);
  }
  return true;
}

uint8_t multiply(uint32_t a, uint32_t b) {
  const uint32_t product = a * b + 128;
  return static_cast<uint8_t>(((product >> 8) + product) >> 8);
}

/// PIL takes every CMYK JPEG for an inverted one (as Adobe writes them): stored 255 - ink.
void cmyk_to_rgb(const uint8_t* cmyk, uint8_t* rgb) {
  const int light = cmyk[3];
  for (int c = 0; c < 3; ++c) {
    rgb[c] = static_cast<uint8_t>(std::max(light - multiply(static_cast<uint32_t>(255 - cmyk[c]), light), 0));
  }
}

Image to_rgb(std::vector<uint8_t> pixels, int64_t width, int64_t height, int channels) {
  if (channels == 3) return {width, height, std::move(pixels)};
  Image picture(width, height);
  for (int64_t i = 0; i < width * height; ++i) {
    if (channels == 1) {
      std::fill_n(picture.rgb.begin() + i * 3, 3, pixels[i]);
    } else {
      cmyk_to_rgb(&pixels[i * 4], &picture.rgb[i * 3]);
    }
  }
  return picture;
}

/// Decoding in several scans holds the coefficients of the whole picture.
int64_t coefficient_bytes(Jpeg& jpeg) {
  if (!jpeg_has_multiple_scans(&jpeg.info)) return 0;
  int64_t bytes = 0;
  for (int c = 0; c < jpeg.info.num_components; ++c) {
    const jpeg_component_info& component = jpeg.info.comp_info[c];
    bytes += int64_t{component.width_in_blocks + 1} * (component.height_in_blocks + 1) * int64_t{sizeof(JBLOCK)};
  }
  return bytes;
}

[[noreturn]] void refuse(const Encoded& file, const Jpeg& jpeg) {
  if (jpeg.no_memory) file.refuse_memory();
  file.refuse("a damaged JPEG file: ", jpeg.message);
}

/// Reads the header and chooses by how much to scale. Pillow refuses more than twice its MAX_IMAGE_PIXELS; beyond that
/// there is no right value to equal, and what is left of a picture is still far larger than any model's input.
Measured open_jpeg(Jpeg& jpeg, const Encoded& file) {
  connect(jpeg, file);
  if (!read_header(jpeg)) {
    if (jpeg.ended) file.refuse("the JPEG file is truncated");
    refuse(file, jpeg);
  }
  const int64_t width = jpeg.info.image_width, height = jpeg.info.image_height;
  const int64_t most = 2 * file.options.max_pixels;
  const bool scalable = !jpeg_has_multiple_scans(&jpeg.info);
  file.check_size(width, height, scalable ? kMostScaled * file.options.max_pixels : most);
  const int channels = jpeg.info.num_components;
  if (channels != 1 && channels != 3 && channels != 4) {
    file.refuse("a JPEG file with ", channels, " colour channels; 1, 3 and 4 are read");
  }
  const bool too_short =
      !jpeg.info.arith_code && width * height / kJpegPixelsPerByte > static_cast<int64_t>(file.size());
  if (too_short)
    file.refuse("the JPEG file is truncated: ", file.size(), " bytes for ", width, " x ", height, " pixels");
  int64_t scale = 1;
  const auto scaled = [&scale](int64_t side) { return (side + scale - 1) / scale; };
  while (scale < 8 && scaled(width) * scaled(height) > most) scale *= 2;
  const Size decoded{scaled(width), scaled(height)};
  file.check_size(decoded.width, decoded.height, most);
  return {{width, height},
          decoded,
          scale,
          coefficient_bytes(jpeg) + decoded.width * decoded.height * kDecodingBytesPerPixel};
}

}  // namespace

Measured measure_jpeg(const Encoded& file) {
  Jpeg jpeg;
  return open_jpeg(jpeg, file);
}

Image decode_jpeg(const Encoded& file) {
  Jpeg jpeg;
  const Measured measured = open_jpeg(jpeg, file);
  const auto [width, height] = measured.decoded;
  const int channels = jpeg.info.num_components;
  jpeg.info.out_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
  jpeg.info.scale_num = 1;
  jpeg.info.scale_denom = static_cast<unsigned>(measured.scale);
  std::vector<uint8_t> pixels(static_cast<std::size_t>(width * height * channels));
  if (!read_rows(jpeg, pixels.data(), static_cast<std::size_t>(width * channels))) refuse(file, jpeg);
  if (jpeg.ended)
    file.refuse("the JPEG file is truncated; ", jpeg.info.output_scanline, " of ", height, " rows are there");
  return to_rgb(std::move(pixels), width, height, channels);
}

}  // namespace lithe::image
