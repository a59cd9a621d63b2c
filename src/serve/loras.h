#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/json.h"
#include "serve/server.h"
#include "session/loras.h"
#include "session/session.h"

namespace lithe::serve {

/// The LoRA that requests choose by name. Any thread may call it. A request that has found its LoRA keeps it to the end
/// of its answer, whatever happens to the name.
class Loras {
 public:
  /// `options`: with the names of the model and a complete `lora_root`. Opens those of the options. Throws Error.
  Loras(const session::Session& session, const ServerOptions& options);

  /// Null if there is none of this name.
  session::Lora find(const std::string& name) const;
  struct Card {
    std::string name;
    int64_t created = 0;  ///< Seconds since 1970.
  };
  std::vector<Card> cards() const;  ///< By name.
  /// Whether there may ever be one.
  bool on() const { return on_; }
  /// Whether requests may load and unload.
  bool changes() const { return !root_.empty(); }
  int64_t most() const { return most_; }

  /// {"lora_name", "lora_path", "load_inplace"}: reads the folder, which takes a while. -> its name. Throws Refusal,
  /// and Error for folders that session::open_lora refuses.
  std::string load(const Json& body);
  /// {"lora_name"}: from now on, no request finds it. -> null when the last answer under it has ended. Throws Refusal.
  std::weak_ptr<const models::LoraOver> unload(const Json& body);

 private:
  struct Entry {
    session::Lora lora;
    int64_t created = 0;
  };
  void check_name(const std::string& name) const;
  void require_changes() const;
  std::filesystem::path folder_of(const std::string& path) const;
  session::Lora opened(const std::string& name, const std::string& folder) const;
  void put(const std::string& name, session::Lora lora);

  const session::Session& session_;
  const std::vector<std::string> model_names_;
  const std::filesystem::path root_;
  const int64_t most_;
  const int64_t most_bytes_;  // of all together
  bool on_ = false;
  std::mutex loading_;        // one folder is read at a time
  mutable std::mutex mutex_;  // of the entries
  std::map<std::string, Entry> entries_;
};

/// ServerOptions::lora_root without links; empty if there is none. Throws Error{bad_request} if it is not a folder.
std::filesystem::path folder_of_loras(const ServerOptions& options);

}  // namespace lithe::serve
