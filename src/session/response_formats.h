#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "session/session.h"
#include "text/constraint.h"

namespace lithe::session {

/// The constraints of one model's answers. Nothing is prepared before the first one is asked for. Any thread may call
/// it, also while another runs a batch.
class ResponseFormats {
 public:
  /// The session must outlive it.
  explicit ResponseFormats(const Session& session) : session_(session) {}

  /// The answer must be JSON of this schema. Throws Error{bad_request} for a schema that can't be used, and for a model
  /// that can't write one.
  std::shared_ptr<const text::Constraint> json(const std::string& schema);

 private:
  const text::JsonConstraints& constraints();

  const Session& session_;
  std::mutex mutex_;
  std::optional<text::JsonConstraints> constraints_;
};

}  // namespace lithe::session
