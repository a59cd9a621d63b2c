#include "serve/loras.h"

#include <algorithm>
#include <ctime>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "io/new_folder.h"
#include "serve/fields.h"
#include "serve/refusal.h"
#include "session/memory.h"

namespace lithe::serve {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostNameBytes = 256;

/// A name goes into a list of names that commas part (metrics), and into errors.
bool is_name(const std::string& name) {
  const auto is_bad = [](char c) { return c == ',' || static_cast<unsigned char>(c) < 0x20 || c == 0x7F; };
  return !name.empty() && name.size() <= kMostNameBytes && std::none_of(name.begin(), name.end(), is_bad);
}

/// Whether a folder and all that lies in it are below the root, after links are followed.
bool lies_below(const fs::path& root, const fs::path& folder) {
  std::error_code failed;
  if (!io::holds(root, folder) || !fs::is_directory(folder, failed)) return false;
  for (fs::directory_iterator entry(folder, failed), end; !failed && entry != end; entry.increment(failed)) {
    const fs::path target = fs::canonical(entry->path(), failed);
    if (failed || !io::holds(root, target)) return false;
  }
  return !failed;
}

}  // namespace

fs::path folder_of_loras(const ServerOptions& options) {
  if (options.lora_root.empty()) return {};
  std::error_code failed;
  fs::path root = fs::canonical(options.lora_root, failed);
  require(!failed && fs::is_directory(root, failed), Fault::bad_request, "--lora-root ",
          in_quotes(options.lora_root.string()), " is not a folder; give the folder whose LoRA may be loaded.");
  return root;
}

Loras::Loras(const session::Session& session, const ServerOptions& options)
    : session_(session),
      model_names_(options.model_names),
      root_(options.lora_root),
      most_(options.max_loras),
      most_bytes_(session::memory_available() / 4) {
  for (const NamedLora& one : options.loras) {
    require(is_name(one.name), Fault::bad_request, "--lora: the name ", in_quotes(one.name),
            " is empty, too long or has a comma; write NAME=DIR.");
    const bool taken = entries_.contains(one.name) ||
                       std::find(model_names_.begin(), model_names_.end(), one.name) != model_names_.end();
    require(!taken, Fault::bad_request, "--lora: the name ", in_quotes(one.name),
            " stands for something else already; give another.");
    require(std::ssize(entries_) < most_, Fault::bad_request, "--lora: there are more than ", most_,
            " LoRA; give fewer, or allow more with --max-loras.");
    put(one.name, opened(one.name, one.folder));
  }
  on_ = changes() || !entries_.empty();
}

/// With room beside the others, the one whose place it takes among them.
session::Lora Loras::opened(const std::string& name, const std::string& folder) const {
  int64_t left = most_bytes_;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [other, entry] : entries_) left -= session::facts_of(*entry.lora).bytes;
  }
  return session::open_lora(session_, name, folder, left);
}

void Loras::put(const std::string& name, session::Lora lora) {
  entries_[name] = {.lora = std::move(lora), .created = std::time(nullptr)};
}

session::Lora Loras::find(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(name);
  return found == entries_.end() ? nullptr : found->second.lora;
}

std::vector<Loras::Card> Loras::cards() const {
  const std::lock_guard lock(mutex_);
  std::vector<Card> cards;
  for (const auto& [name, entry] : entries_) cards.push_back({.name = name, .created = entry.created});
  return cards;
}

void Loras::require_changes() const {
  if (changes()) return;
  throw Refusal(403, "This server does not change its LoRA; start it with --lora-root DIR to let requests do so.", {},
                "lora_changes_off");
}

void Loras::check_name(const std::string& name) const {
  require_field(is_name(name), "lora_name", concat("lora_name must have 1 to ", kMostNameBytes, " bytes, no comma."));
  const bool is_model = std::find(model_names_.begin(), model_names_.end(), name) != model_names_.end();
  require_field(!is_model, "lora_name", concat("lora_name ", in_quotes(name), " is the model's name; give another."));
}

/// One sentence for every folder that may not be read, so that it does not tell what is there.
fs::path Loras::folder_of(const std::string& path) const {
  std::error_code failed;
  const fs::path folder = fs::canonical(root_ / path, failed);  // an absolute path stays what it is
  const bool cut = path.find('\0') != path.npos;                // the system reads no further
  require_field(!failed && !cut && lies_below(root_, folder), "lora_path",
                "lora_path does not name a folder that lies below --lora-root with all its files.");
  return folder;
}

std::string Loras::load(const Json& json) {
  require_changes();
  const Fields body(json);
  const std::string name = body.needed_text("lora_name");
  check_name(name);
  const fs::path folder = folder_of(body.needed_text("lora_path"));
  const bool in_place = body.boolean("load_inplace").value_or(false);
  const std::lock_guard one_at_a_time(loading_);
  {
    const std::lock_guard lock(mutex_);
    const bool there = entries_.contains(name);
    require_field(
        in_place || !there, "lora_name",
        concat("lora_name ", in_quotes(name), " is loaded already; unload it first, or send \"load_inplace\": true."));
    require_field(there || std::ssize(entries_) < most_, "lora_name",
                  concat(most_, " LoRA are loaded, as many as may be; unload one, or raise --max-loras."));
  }
  session::Lora lora;
  try {
    lora = opened(name, folder.string());
  } catch (const Error& error) {
    blame_field(error, "lora_path");
  }
  const std::lock_guard lock(mutex_);
  put(name, std::move(lora));
  return name;
}

std::weak_ptr<const models::LoraOver> Loras::unload(const Json& json) {
  require_changes();
  const Fields body(json);
  const std::string name = body.needed_text("lora_name");
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(name);
  if (found == entries_.end())
    throw Refusal(404, concat("No LoRA is called ", in_quotes(name), "; /v1/models lists those that are loaded."),
                  "lora_name", "lora_not_found");
  std::weak_ptr<const models::LoraOver> left = found->second.lora;
  entries_.erase(found);
  return left;
}

}  // namespace lithe::serve
