#include "eval/settings.h"

#include <sys/stat.h>

#include <cstdint>
#include <cstdio>

#include "base/error.h"
#include "base/printable.h"
#include "io/new_folder.h"

namespace lithe::eval {
namespace {

/// FNV-1a, 64 bits.
uint64_t hash_of(const std::string& text) {
  uint64_t hash = 0xCBF29CE484222325U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
  return hash;
}

/// Folders in it too: LaVIN has its parts there.
void add_state(const std::filesystem::path& path, const std::string& name, std::string& all) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    for (const std::filesystem::directory_entry& entry : io::entries_of(path))
      add_state(entry.path(), concat(name, "/", entry.path().filename().string()), all);
    return;
  }
  struct stat about = {};
  if (::stat(path.c_str(), &about) != 0 || !S_ISREG(about.st_mode)) return;
  all += concat(name, '\0', about.st_size, ' ', about.st_mtim.tv_sec, ' ', about.st_mtim.tv_nsec, '\n');
}

}  // namespace

std::string state_of(const std::filesystem::path& model) {
  std::string all;
  add_state(model, "", all);
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash_of(all)));
  return text;
}

std::string differing_setting(const Json& a, const Json& b) {
  for (const Json* from : {&a, &b})
    for (const auto& [key, value] : from->items())
      if (a.value(key, Json()) != b.value(key, Json())) return key;
  return {};
}

void require_same(const Json& before, const Json& now, const std::filesystem::path& folder) {
  for (const auto& [key, value] : now.items()) {
    if (before.is_object() && before.contains(key) && before.at(key) == value) continue;
    fail(Fault::bad_request, "The folder ", in_quotes(folder.string()), " holds a run with another ", key,
         "; give another --output, or remove the folder to begin anew.");
  }
}

}  // namespace lithe::eval
