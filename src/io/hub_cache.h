#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace lithe::io {

/// A model's name on the Hugging Face hub: "owner/name", or "owner/name@revision".
struct HubName {
  std::string owner, name, revision = "main";

  std::string text() const { return owner + "/" + name; }
};

/// Absent for texts that cannot be such a name, which paths mostly are.
std::optional<HubName> parse_hub_name(const std::string& text);

/// The hub's cache on this machine: $HF_HUB_CACHE, else $HF_HOME/hub, else ~/.cache/huggingface/hub.
std::filesystem::path hub_cache();

/// The folder in the cache that holds the files of a model; absent if it was never downloaded. Nothing is downloaded.
/// Throws Error{bad_file} if the cache lacks the revision or a part of its files.
std::optional<std::filesystem::path> cached_snapshot(const HubName& name);

/// What to type to download a model.  "hf download owner/name"
std::string download_command(const HubName& name);

/// What a model's folder is called: its own name, or for a snapshot in the hub's cache the model's name on the hub.
std::string name_of_folder(const std::filesystem::path& folder);

}  // namespace lithe::io
