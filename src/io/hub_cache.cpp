#include "io/hub_cache.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/printable.h"
#include "io/bytes.h"
#include "io/checkpoint.h"
#include "io/mapped_file.h"

namespace lithe::io {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFolderPrefix = "models--";
constexpr std::size_t kLongestPart = 96, kLongestRevision = 255;
constexpr std::size_t kMaxReferenceBytes = 4096;

bool is_file(const fs::path& path) {
  std::error_code code;
  return fs::is_regular_file(path, code);
}

bool is_part(const std::string& part) {
  const auto allowed = [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_' || c == '.'; };
  return !part.empty() && part.size() <= kLongestPart && std::all_of(part.begin(), part.end(), allowed) &&
         part.find("..") == part.npos && part.find("--") == part.npos && part.front() != '-' && part.front() != '.' &&
         part.back() != '-' && part.back() != '.';
}

/// A branch, a tag ("refs/pr/1") or a commit.
bool is_revision(const std::string& revision) {
  const auto allowed = [](unsigned char c) { return std::isgraph(c) && c != '\\' && c != '@'; };
  return !revision.empty() && revision.size() <= kLongestRevision && revision.front() != '/' &&
         revision.find("..") == revision.npos && std::all_of(revision.begin(), revision.end(), allowed);
}

/// "~/models" with the home folder in place of "~".
fs::path expanded(const std::string& path) {
  const char* const home = std::getenv("HOME");
  if (!home || !path.starts_with('~') || (path.size() > 1 && path[1] != '/')) return path;
  return home + path.substr(1);
}

std::optional<fs::path> folder_in(const char* variable) {
  const char* const value = std::getenv(variable);
  if (!value || *value == '\0') return std::nullopt;
  return expanded(value);
}

/// The folder of a revision in the folder of a model; absent if the cache does not hold it.
std::optional<fs::path> snapshot_of(const fs::path& folder, const std::string& revision) {
  const fs::path reference = folder / "refs" / revision;
  std::string commit = revision;
  if (is_file(reference)) {
    commit = read_regular_file(reference, kMaxReferenceBytes);
    commit.resize(commit.find_last_not_of(" \r\n") + 1);
  }
  const bool is_plain = !commit.empty() && commit.find('/') == commit.npos && commit != "." && commit != "..";
  const fs::path snapshot = folder / "snapshots" / commit;
  return is_plain && is_there(snapshot) ? std::optional(snapshot) : std::nullopt;
}

/// ", which holds main, v2": the branches and tags of a model whose files are there; empty if there are none.
std::string held_revisions(const fs::path& folder) {
  std::set<std::string> names;
  std::error_code code;
  for (fs::directory_iterator entry(folder / "refs", code), end; !code && entry != end; entry.increment(code)) {
    const std::string name = entry->path().filename().string();
    if (is_file(entry->path()) && snapshot_of(folder, name)) names.insert(printable(name));
  }
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? ", which holds " : ", ") + name;
  return text;
}

/// A file that must be in a snapshot and is not; empty if all are there.
std::string missing_file(const fs::path& snapshot) {
  const bool is_adapter = is_there(snapshot / "adapter_config.json");
  if (!is_adapter && !is_there(snapshot / "config.json")) return "config.json";
  for (const char* name : {"model.safetensors.index.json", "pytorch_model.bin.index.json"}) {
    if (!is_there(snapshot / name) || is_there(snapshot / std::string(name).substr(0, std::string(name).size() - 11)))
      continue;
    const Bytes text = map_file(snapshot / name);
    for (const auto& [tensor, shard] : parse_shard_index(as_text(text.span), (snapshot / name).string()))
      if (!is_there(snapshot / shard)) return shard;
    return "";
  }
  std::error_code code;
  for (fs::directory_iterator entry(snapshot, code), end; !code && entry != end; entry.increment(code)) {
    const std::string ending = entry->path().extension().string();
    if (ending != ".safetensors" && ending != ".bin" && ending != ".pth") continue;
    return is_there(entry->path()) ? "" : entry->path().filename().string();
  }
  return "the file of weights";
}

}  // namespace

std::optional<HubName> parse_hub_name(const std::string& text) {
  const std::size_t slash = text.find('/'), at = text.find('@');
  if (slash == text.npos || (at != text.npos && at < slash)) return std::nullopt;
  HubName name{text.substr(0, slash), text.substr(slash + 1, at == text.npos ? at : at - slash - 1)};
  if (at != text.npos) name.revision = text.substr(at + 1);
  if (!is_part(name.owner) || !is_part(name.name) || !is_revision(name.revision)) return std::nullopt;
  return name;
}

fs::path hub_cache() {
  for (const char* variable : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"})
    if (const auto folder = folder_in(variable)) return *folder;
  if (const auto home = folder_in("HF_HOME")) return *home / "hub";
  return folder_in("XDG_CACHE_HOME").value_or(expanded("~/.cache")) / "huggingface" / "hub";
}

std::string download_command(const HubName& name) {
  return "hf download " + name.text() + (name.revision == "main" ? "" : " --revision " + name.revision);
}

std::optional<fs::path> cached_snapshot(const HubName& name) {
  const fs::path folder = hub_cache() / concat(kFolderPrefix, name.owner, "--", name.name);
  if (!is_there(folder)) return std::nullopt;
  const std::optional<fs::path> snapshot = snapshot_of(folder, name.revision);
  require(snapshot.has_value(), Fault::bad_file, folder.string(), ": the revision ", in_quotes(name.revision),
          " is not in the cache", held_revisions(folder), "; run `", download_command(name), "`");
  const std::string missing = missing_file(*snapshot);
  require(missing.empty(), Fault::bad_file, snapshot->string(), ": the download of ", name.text(), " is not complete, ",
          printable(missing), " is missing; run `", download_command(name), "` again");
  return snapshot;
}

std::string name_of_folder(const fs::path& folder) {
  const fs::path plain = folder.has_filename() ? folder : folder.parent_path();
  const std::string above = plain.parent_path().parent_path().filename().string();
  if (plain.parent_path().filename() != "snapshots" || !above.starts_with(kFolderPrefix))
    return plain.filename().string();
  return above.substr(above.rfind("--") + 2);
}

}  // namespace lithe::io
