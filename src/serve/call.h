#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "session/session.h"

namespace lithe::serve {

/// A body of /v1/chat/completions or /v1/completions, ready for the engine.
struct Call {
  session::Request request;
  session::AnswerOptions options;
  bool chat = true;  ///< False: a text completion.
  bool stream = false;
  bool usage_at_end = false;  ///< "stream_options": {"include_usage": true}
  bool token_ids = false;     ///< "return_token_ids": true
};

/// What a call is read against.
struct CallRules {
  const session::Session& session;
  std::vector<std::string> model_names;  ///< What "model" may be, if it is given.
  std::filesystem::path image_root;      ///< As PictureRules::root.
  std::function<uint64_t()> seed;        ///< For calls without one.
};

/// Read a body. Unknown fields are ignored; known ones that this server can't obey are refused. Any thread may call
/// them. Throw Refusal, and Error for pictures, plans and values out of range.
Call read_chat_call(const Json& body, const CallRules& rules);
Call read_completion_call(const Json& body, const CallRules& rules);

/// A body as JSON. Throws Refusal if it is none.
Json read_body(const std::string& text);

}  // namespace lithe::serve
