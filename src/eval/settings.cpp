#include "eval/settings.h"

#include <sys/stat.h>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <span>

#include "base/error.h"
#include "base/fnv.h"
#include "base/printable.h"
#include "io/mapped_file.h"
#include "io/new_folder.h"

namespace lithe::eval {
namespace {

/// Of the file, or of what is held of it.
int64_t bytes_of(const image::Source& picture) {
  std::error_code absent;
  const auto bytes = picture.held_bytes() > 0 ? 0 : std::filesystem::file_size(picture.name(), absent);
  return bytes > 0 && !absent ? static_cast<int64_t>(bytes) : picture.held_bytes();
}

/// Of the bytes of a file: four words at a time, as a model has gigabytes.
uint64_t hash_of(std::span<const std::byte> bytes) {
  constexpr uint64_t kOdd = 0x9E3779B97F4A7C15U;
  std::array<uint64_t, 4> lanes{1, 2, 3, 4};
  std::size_t at = 0;
  for (; at + sizeof lanes <= bytes.size(); at += sizeof lanes) {
    std::array<uint64_t, 4> words{};
    std::memcpy(words.data(), bytes.data() + at, sizeof words);
    for (std::size_t i = 0; i < lanes.size(); ++i) lanes[i] = std::rotl((lanes[i] ^ words[i]) * kOdd, 29);
  }
  uint64_t hash = bytes.size();
  for (; at < bytes.size(); ++at) hash = (hash ^ std::to_integer<uint64_t>(bytes[at])) * kOdd;
  for (const uint64_t lane : lanes) hash = std::rotl((hash ^ lane) * kOdd, 29);
  return hash;
}

/// Calls `visit` with every file, its name below `path` and its facts. Folders in it too: LaVIN has its parts there.
template <class Visit>
void each_file(const std::filesystem::path& path, const std::string& name, const Visit& visit) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    for (const std::filesystem::directory_entry& entry : io::entries_of(path))
      each_file(entry.path(), concat(name, "/", entry.path().filename().string()), visit);
    return;
  }
  struct stat about = {};
  if (::stat(path.c_str(), &about) == 0 && S_ISREG(about.st_mode)) visit(path, name, about);
}

std::string digits_of(uint64_t hash) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

}  // namespace

std::string state_of(const std::filesystem::path& model) {
  std::string all;
  each_file(model, "", [&](const std::filesystem::path&, const std::string& name, const struct stat& about) {
    all += concat(name, '\0', about.st_size, ' ', about.st_mtim.tv_sec, ' ', about.st_mtim.tv_nsec, '\n');
  });
  return digits_of(fnv1a(all));
}

std::string content_of(const std::filesystem::path& model) {
  std::string all;
  each_file(model, "", [&](const std::filesystem::path& file, const std::string& name, const struct stat& about) {
    const uint64_t hash = about.st_size > 0 ? hash_of(io::map_file(file).span) : 0;
    all += concat(name, '\0', about.st_size, ' ', hash, '\n');
  });
  return digits_of(fnv1a(all));
}

std::string state_of(const tasks::Question& question) {
  std::string all = question.text;
  for (const data::Turn& turn : question.turns) all += concat('\0', turn.role, '\0', turn.text);
  for (const image::Source& picture : question.images) {
    const image::Size size = picture.header().stored;
    all += concat('\n', size.width, 'x', size.height, ' ', bytes_of(picture));
  }
  return digits_of(fnv1a(all));
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
