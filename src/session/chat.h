#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "image/source.h"
#include "plan/plan.h"
#include "session/session.h"
#include "text/message.h"

namespace lithe::session {

/// A conversation that has grown past the model's longest sequence.
class ConversationTooLong : public Error {
 public:
  explicit ConversationTooLong(const std::string& sentence) : Error(Fault::bad_request, sentence) {}
};

/// A conversation of several turns and pictures. Every answer is the one that a fresh run over the whole conversation
/// gives, up to the rounding of float32; what is exact to reuse (plan/reuse.h) stays in the layer states between
/// turns, and pictures are encoded once, and again only if a plan changes what the vision tower runs, or how its rows
/// are scored or merged. One thread owns it, and the session while it lives.
class Chat {
 public:
  /// `system`: a system message in place of the model's own.
  explicit Chat(const Session& session, std::optional<std::string> system = std::nullopt);
  Chat(Chat&&) noexcept;
  ~Chat();

  /// The next turn: a message with these pictures (as text::user_message places them), and its answer, also if a
  /// callback ended it. Throws ConversationTooLong, and Error as Session::answer does. The conversation is then as it
  /// was before, and also if the turn was cancelled before its first token.
  Answer ask(std::string message, const std::vector<image::Source>& pictures, const AnswerOptions& options = {});

  /// The plan of the turns to come; absent: the model's own. Throws Error{bad_request} if the weights cannot run it.
  void use_plan(const std::optional<plan::Plan>& plan);
  const plan::Plan& plan() const;

  /// Forgets messages and pictures; the system message and the plan stay.
  void reset();

  /// The system message, if one was given, and the turns so far.
  const std::vector<text::Message>& messages() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lithe::session
