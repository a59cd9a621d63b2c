#include "serve/page_files.h"

#include <fmt/format.h>
#include <algorithm>
#include <string>

#include "base/error.h"
#include "base/fnv.h"

// Each file becomes a part of the program.
#define LITHE_PAGE_FILE(name, file)                                                                                 \
  asm(".section .rodata\n.global lithe_page_" #name "\n.global lithe_page_" #name "_end\n.hidden lithe_page_" #name \
      "\n.hidden lithe_page_" #name "_end\nlithe_page_" #name ":\n.incbin \"" LITHE_PAGE_FOLDER "/" file            \
      "\"\nlithe_page_" #name "_end:\n.byte 0\n.previous\n");                                                       \
  extern "C" __attribute__((visibility("hidden"))) const char lithe_page_##name[], lithe_page_##name##_end[];

LITHE_PAGE_FILE(index, "index.html")
LITHE_PAGE_FILE(style, "style.css")
LITHE_PAGE_FILE(icon, "icon.svg")
LITHE_PAGE_FILE(main, "main.js")
LITHE_PAGE_FILE(server, "server.js")
LITHE_PAGE_FILE(pictures, "pictures.js")
LITHE_PAGE_FILE(camera, "camera.js")
LITHE_PAGE_FILE(chat, "chat.js")
LITHE_PAGE_FILE(patches, "patches.js")
LITHE_PAGE_FILE(skipped, "skipped.js")
LITHE_PAGE_FILE(numbers, "numbers.js")

#undef LITHE_PAGE_FILE

namespace lithe::serve {
namespace {

/// Scripts, styles and pictures come from this server alone, and nothing is sent elsewhere. No script or style may be
/// inside of the HTML, and no other page may show this one in a frame.
constexpr const char* kPolicy =
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'\r\n"
    "Permissions-Policy: camera=(self), microphone=(), geolocation=()\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Cross-Origin-Opener-Policy: same-origin\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n";

std::string_view text_between(const char* begin, const char* end) {
  return {begin, static_cast<std::size_t>(end - begin)};
}

/// Tells one text of a file from another.
std::string tag_of(std::string_view text) {
  return fmt::format("\"{:016x}\"", fnv1a(text));
}

}  // namespace

std::span<const PageFile> page_files() {
  constexpr const char* kHtml = "text/html; charset=utf-8";
  constexpr const char* kScript = "text/javascript; charset=utf-8";
  static const PageFile files[] = {
      {"/", kHtml, text_between(lithe_page_index, lithe_page_index_end)},
      {"/page/style.css", "text/css; charset=utf-8", text_between(lithe_page_style, lithe_page_style_end)},
      {"/page/icon.svg", "image/svg+xml", text_between(lithe_page_icon, lithe_page_icon_end)},
      {"/page/main.js", kScript, text_between(lithe_page_main, lithe_page_main_end)},
      {"/page/server.js", kScript, text_between(lithe_page_server, lithe_page_server_end)},
      {"/page/pictures.js", kScript, text_between(lithe_page_pictures, lithe_page_pictures_end)},
      {"/page/camera.js", kScript, text_between(lithe_page_camera, lithe_page_camera_end)},
      {"/page/chat.js", kScript, text_between(lithe_page_chat, lithe_page_chat_end)},
      {"/page/patches.js", kScript, text_between(lithe_page_patches, lithe_page_patches_end)},
      {"/page/skipped.js", kScript, text_between(lithe_page_skipped, lithe_page_skipped_end)},
      {"/page/numbers.js", kScript, text_between(lithe_page_numbers, lithe_page_numbers_end)},
  };
  return files;
}

Response page_reply(std::string_view path, std::string_view known) {
  const auto files = page_files();
  const auto file = std::find_if(files.begin(), files.end(), [&](const PageFile& one) { return path == one.path; });
  require(file != files.end(), Fault::internal, "page_reply: there is no such file");
  const std::string tag = tag_of(file->text);
  Response response{.type = file->type, .more = concat(kPolicy, "Cache-Control: no-cache\r\nETag: ", tag, "\r\n")};
  if (known.find(tag) != known.npos) {
    response.status = 304;
  } else {
    response.body = file->text;
  }
  return response;
}

}  // namespace lithe::serve
