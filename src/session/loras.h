#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "session/session.h"

/// LoRA over one model, of which each request may choose another. Any thread may call these, also while another runs a
/// batch.
namespace lithe::session {

using Lora = std::shared_ptr<const models::LoraOver>;

/// Opens what a user names as `--lora` (a PEFT folder, a name in the hub's cache) over the model of a session, which
/// must outlive it; nothing of the model changes. Requests call it `name`. Throws Error{bad_file}: no such folder, a
/// damaged one, one for another model; Error{bad_request}: one that would change what all requests share;
/// Error{no_memory} if its factors have more bytes than `most_bytes`.
Lora open_lora(const Session& session, const std::string& name, const std::string& folder, int64_t most_bytes);

/// What a front end shows of a LoRA.
struct LoraFacts {
  std::string name;
  std::filesystem::path folder;
  int64_t products = 0;  ///< That it changes.
  int64_t lowest_rank = 0, highest_rank = 0;
  int64_t bytes = 0;
};
LoraFacts facts_of(const models::LoraOver& lora);

}  // namespace lithe::session
