#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <png.h>

#include "image/codecs.h"

namespace lithe::image {
namespace {

constexpr std::size_t kInflateRatio = 1032;  // The most that deflate can expand a byte to.

/// A decoder whose errors jump back to the latest landing. Functions that set one hold no object with a destructor.
struct Png {
  png_structp reader = nullptr;
  png_infop info = nullptr;
  const uint8_t* next = nullptr;
  std::size_t left = 0;
  bool no_memory = false;
  char message[128] = "";

  Png() = default;
  Png(const Png&) = delete;
  Png& operator=(const Png&) = delete;
  ~Png() { png_destroy_read_struct(&reader, &info, nullptr); }
};

void on_error(png_structp reader, png_const_charp message) {
  auto& png = *static_cast<Png*>(png_get_error_ptr(reader));
  std::snprintf(png.message, sizeof(png.message), "%s", message);
  png_longjmp(reader, 1);
}

png_voidp on_allocate(png_structp reader, png_alloc_size_t size) {
  void* memory = std::malloc(size);
  if (!memory) static_cast<Png*>(png_get_mem_ptr(reader))->no_memory = true;
  return memory;
}

void on_read(png_structp reader, png_bytep out, std::size_t count) {
  auto& png = *static_cast<Png*>(png_get_io_ptr(reader));
  if (count > png.left) png_error(reader, "it is truncated");
  std::memcpy(out, png.next, count);
  png.next += count;
  png.left -= count;
}

bool read_header(Png& png) {
  png.reader = png_create_read_struct_2(
      PNG_LIBPNG_VER_STRING, &png, on_error, [](png_structp, png_const_charp) {}, &png, on_allocate,
      [](png_structp, png_voidp memory) { std::free(memory); });
  if (png.reader) png.info = png_create_info_struct(png.reader);
  png.no_memory = !png.info;
  if (!png.info) return false;
  if (setjmp(png_jmpbuf(png.reader))) return false;
  png_set_user_limits(png.reader, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // The count of pixels is what we bound.
  // Texts, profiles and other chunks that change no pixel are not unpacked.
  png_set_keep_unknown_chunks(png.reader, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  png_set_read_fn(png.reader, &png, on_read);
  png_read_info(png.reader, png.info);
  return true;
}

/// Asks for 8-bit RGB or RGBA, or, for 16-bit grey, for the stored values. `with_alpha`: transparency is wanted. An RGB
/// file with one transparent colour stays opaque, as in transformers.
bool choose_pixels(Png& png, bool with_alpha) {
  if (setjmp(png_jmpbuf(png.reader))) return false;
  const int type = png_get_color_type(png.reader, png.info);
  const int depth = png_get_bit_depth(png.reader, png.info);
  if (type == PNG_COLOR_TYPE_PALETTE) {
    png_set_palette_to_rgb(png.reader);
  } else if (type == PNG_COLOR_TYPE_GRAY && depth < 16) {
    png_set_expand_gray_1_2_4_to_8(png.reader);
    if (with_alpha && png_get_valid(png.reader, png.info, PNG_INFO_tRNS)) png_set_tRNS_to_alpha(png.reader);
  }
  if (type != PNG_COLOR_TYPE_GRAY || depth < 16) {
    png_set_strip_16(png.reader);  // PIL keeps the high byte.
    png_set_gray_to_rgb(png.reader);
  }
  png_set_interlace_handling(png.reader);
  png_read_update_info(png.reader, png.info);
  return true;
}

bool read_rows(Png& png, png_bytepp rows) {
  if (setjmp(png_jmpbuf(png.reader))) return false;
  png_read_image(png.reader, rows);
  return true;
}

/// PIL clips 16-bit grey to 255 instead of scaling it, and what the models were trained on is what PIL gave.
Image from_grey16(Png& png, const std::vector<uint8_t>& pixels, int64_t width, int64_t height, Alpha alpha) {
  png_color_16p clear = nullptr;
  if (alpha == Alpha::on_white) png_get_tRNS(png.reader, png.info, nullptr, nullptr, &clear);
  Image picture(width, height);
  for (int64_t i = 0; i < width * height; ++i) {
    const int grey = pixels[i * 2] << 8 | pixels[i * 2 + 1];
    const bool is_clear = clear && grey == clear->gray;
    std::fill_n(picture.rgb.begin() + i * 3, 3, static_cast<uint8_t>(is_clear ? 255 : std::min(grey, 255)));
  }
  return picture;
}

[[noreturn]] void refuse(const Encoded& file, const Png& png) {
  if (png.no_memory) file.refuse_memory();
  file.refuse("a damaged PNG file: ", png.message);
}

Measured open_png(Png& png, const Encoded& file) {
  png.next = file.data();
  png.left = file.size();
  if (!read_header(png)) refuse(file, png);
  const int64_t width = png_get_image_width(png.reader, png.info), height = png_get_image_height(png.reader, png.info);
  file.check_size(width, height);
  const std::size_t stored = png_get_rowbytes(png.reader, png.info) * static_cast<std::size_t>(height);
  if (stored / kInflateRatio > file.size()) {
    file.refuse("a damaged PNG file: it is truncated: ", file.size(), " bytes for ", width, " x ", height, " pixels");
  }
  return unscaled(width, height);
}

}  // namespace

Measured measure_png(const Encoded& file) {
  Png png;
  return open_png(png, file);
}

Image decode_png(const Encoded& file) {
  Png png;
  const auto [width, height] = open_png(png, file).decoded;
  if (!choose_pixels(png, file.options.alpha == Alpha::on_white)) refuse(file, png);
  const std::size_t row_bytes = png_get_rowbytes(png.reader, png.info);
  const int channels = png_get_channels(png.reader, png.info);
  std::vector<uint8_t> pixels(row_bytes * static_cast<std::size_t>(height));
  std::vector<png_bytep> rows(static_cast<std::size_t>(height));
  for (std::size_t y = 0; y < rows.size(); ++y) rows[y] = pixels.data() + y * row_bytes;
  if (!read_rows(png, rows.data())) refuse(file, png);
  if (channels == 1) return from_grey16(png, pixels, width, height, file.options.alpha);
  if (channels == 4) return flatten(std::move(pixels), width, height, file.options.alpha);
  return {width, height, std::move(pixels)};
}

}  // namespace lithe::image
