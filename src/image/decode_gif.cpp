#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>

#include <gif_lib.h>

#include "image/codecs.h"

namespace lithe::image {
namespace {

/// A code of LZW stands for fewer pixels than there are codes, and takes 3 bits or more.
constexpr int64_t kGifPixelsPerByte = 4096;

struct Cursor {
  const uint8_t* next;
  std::size_t left;
};

int on_read(GifFileType* gif, GifByteType* out, int count) {
  auto& cursor = *static_cast<Cursor*>(gif->UserData);
  const std::size_t given = std::min(cursor.left, static_cast<std::size_t>(std::max(count, 0)));
  std::memcpy(out, cursor.next, given);
  cursor.next += given;
  cursor.left -= given;
  return static_cast<int>(given);
}

struct Closer {
  void operator()(GifFileType* gif) const {
    int error = 0;
    DGifCloseFile(gif, &error);
  }
};
using Gif = std::unique_ptr<GifFileType, Closer>;

[[noreturn]] void refuse_damage(const Encoded& file, int code) {
  if (code == D_GIF_ERR_NOT_ENOUGH_MEM) file.refuse_memory();
  const char* text = GifErrorString(code);
  file.refuse("a damaged or truncated GIF file", text ? ": " : "", text ? text : "");
}

/// Reads an extension block; gives the transparent index if it is a graphics control with one.
void read_extension(const Encoded& file, GifFileType* gif, std::optional<int>& transparent) {
  int kind = 0;
  GifByteType* block = nullptr;
  if (DGifGetExtension(gif, &kind, &block) == GIF_ERROR) refuse_damage(file, gif->Error);
  while (block) {
    GraphicsControlBlock control;
    if (kind == GRAPHICS_EXT_FUNC_CODE && DGifExtensionToGCB(block[0], block + 1, &control) == GIF_OK) {
      transparent.reset();
      if (control.TransparentColor != NO_TRANSPARENT_COLOR) transparent = control.TransparentColor;
    }
    if (DGifGetExtensionNext(gif, &block) == GIF_ERROR) refuse_damage(file, gif->Error);
  }
}

/// Goes to the first frame's description; gives its transparent index.
std::optional<int> find_frame(const Encoded& file, GifFileType* gif) {
  std::optional<int> transparent;
  while (true) {
    GifRecordType record = UNDEFINED_RECORD_TYPE;
    if (DGifGetRecordType(gif, &record) == GIF_ERROR) refuse_damage(file, gif->Error);
    if (record == TERMINATE_RECORD_TYPE) file.refuse("the GIF file holds no picture");
    if (record == EXTENSION_RECORD_TYPE) read_extension(file, gif, transparent);
    if (record != IMAGE_DESC_RECORD_TYPE) continue;
    if (DGifGetImageDesc(gif) == GIF_ERROR) refuse_damage(file, gif->Error);
    return transparent;
  }
}

/// Rows of an interlaced frame come in four sweeps.
std::vector<int64_t> row_order(int64_t height, bool interlaced) {
  struct Sweep {
    int64_t first, step;
  };
  const auto sweeps = interlaced ? std::vector<Sweep>{{0, 8}, {4, 8}, {2, 4}, {1, 2}} : std::vector<Sweep>{{0, 1}};
  std::vector<int64_t> order;
  for (const Sweep& sweep : sweeps) {
    for (int64_t y = sweep.first; y < height; y += sweep.step) order.push_back(y);
  }
  return order;
}

/// RGBA by index; without a palette indices are grey levels, past the end of one they are black (as with PIL).
using Palette = std::array<std::array<uint8_t, 4>, 256>;

Palette read_palette(const GifFileType* gif, std::optional<int> transparent) {
  Palette palette;
  const ColorMapObject* map = gif->Image.ColorMap ? gif->Image.ColorMap : gif->SColorMap;
  for (int i = 0; i < 256; ++i) {
    const auto grey = static_cast<uint8_t>(i);
    palette[i] = {grey, grey, grey, 255};
    if (map && i < map->ColorCount) palette[i] = {map->Colors[i].Red, map->Colors[i].Green, map->Colors[i].Blue, 255};
    if (map && i >= map->ColorCount) palette[i] = {0, 0, 0, 255};
  }
  if (transparent && *transparent >= 0 && *transparent < 256) palette[*transparent][3] = 0;
  return palette;
}

Gif open_gif(const Encoded& file, Cursor& cursor) {
  int error = 0;
  Gif gif(DGifOpen(&cursor, on_read, &error));
  if (!gif) refuse_damage(file, error);
  return gif;
}

/// Of the canvas; the frame's description has been read.
Size canvas_size(const Encoded& file, const GifFileType* gif) {
  const GifImageDesc& frame = gif->Image;
  if (frame.Width <= 0 || frame.Height <= 0) file.refuse("the first frame of the GIF file has no pixels");
  // PIL widens the canvas for frames that reach beyond it.
  const Size size{std::max(gif->SWidth, frame.Left + frame.Width), std::max(gif->SHeight, frame.Top + frame.Height)};
  file.check_size(size.width, size.height);
  if (int64_t{frame.Width} * frame.Height / kGifPixelsPerByte > static_cast<int64_t>(file.size())) {
    file.refuse("the GIF file is truncated: ", file.size(), " bytes for ", frame.Width, " x ", frame.Height, " pixels");
  }
  return size;
}

}  // namespace

Measured measure_gif(const Encoded& file) {
  Cursor cursor{file.data(), file.size()};
  const Gif gif = open_gif(file, cursor);
  find_frame(file, gif.get());
  const Size size = canvas_size(file, gif.get());
  return unscaled(size.width, size.height);
}

Image decode_gif(const Encoded& file) {
  Cursor cursor{file.data(), file.size()};
  const Gif gif = open_gif(file, cursor);
  const std::optional<int> transparent = find_frame(file, gif.get());
  const GifImageDesc& frame = gif->Image;
  const auto [width, height] = canvas_size(file, gif.get());
  std::vector<uint8_t> indices(static_cast<std::size_t>(width * height), static_cast<uint8_t>(transparent.value_or(0)));
  for (const int64_t y : row_order(frame.Height, frame.Interlace)) {
    uint8_t* row = indices.data() + (frame.Top + y) * width + frame.Left;
    if (DGifGetLine(gif.get(), row, frame.Width) == GIF_ERROR) refuse_damage(file, gif->Error);
  }
  const Palette palette = read_palette(gif.get(), transparent);
  Image picture(width, height);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const auto& colour = palette[indices[i]];
    for (std::size_t c = 0; c < 3; ++c) {
      picture.rgb[i * 3 + c] = file.options.alpha == Alpha::on_white ? over_white(colour[c], colour[3]) : colour[c];
    }
  }
  return picture;
}

}  // namespace lithe::image
