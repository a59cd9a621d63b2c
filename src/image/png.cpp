#include "image/png.h"

#include <csetjmp>
#include <new>

#include <png.h>

#include "base/error.h"

namespace lithe::image {
namespace {

/// No exception may pass through libpng.
bool append(std::vector<std::byte>& out, const std::byte* bytes, std::size_t count) noexcept {
  try {
    out.insert(out.end(), bytes, bytes + count);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void on_write(png_structp writer, png_bytep bytes, std::size_t count) {
  auto& out = *static_cast<std::vector<std::byte>*>(png_get_io_ptr(writer));
  if (!append(out, reinterpret_cast<const std::byte*>(bytes), count)) png_error(writer, "no memory");
}

/// In place of libpng's own, which print.
void on_error(png_structp writer, png_const_charp) {
  png_longjmp(writer, 1);
}
void on_warning(png_structp, png_const_charp) {}

struct Writer {
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, on_error, on_warning);
  png_infop info = png ? png_create_info_struct(png) : nullptr;
  Writer() = default;
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() { png_destroy_write_struct(&png, &info); }
};

/// Holds no object with a destructor, as errors jump back to its start.
bool write_rows(Writer& writer, const Image& picture, std::vector<std::byte>& out) {
  if (setjmp(png_jmpbuf(writer.png))) return false;
  png_set_write_fn(writer.png, &out, on_write, [](png_structp) {});
  png_set_IHDR(writer.png, writer.info, static_cast<png_uint_32>(picture.width),
               static_cast<png_uint_32>(picture.height), 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(writer.png, writer.info);
  for (int64_t y = 0; y < picture.height; ++y) png_write_row(writer.png, picture.row(y));
  png_write_end(writer.png, writer.info);
  return true;
}

}  // namespace

std::vector<std::byte> encode_png(const Image& picture) {
  require(picture.width > 0 && picture.height > 0, Fault::bad_request, "an empty picture can't be written as PNG");
  Writer writer;
  std::vector<std::byte> out;
  const bool written = writer.info && write_rows(writer, picture, out);
  require(written, Fault::internal, "libpng could not encode a picture of ", picture.width, " x ", picture.height,
          " pixels");
  return out;
}

}  // namespace lithe::image
