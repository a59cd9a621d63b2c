#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "session/read_prompt.h"
#include "session/response_formats.h"
#include "session/session.h"

namespace lithe::serve {

/// A picture that is not in the request yet, as it must be fetched.
struct RemotePicture {
  std::size_t index = 0;  ///< Among all pictures of the request.
  std::string url, field;
};

/// The largest "n".
inline constexpr int64_t kMostAnswers = 16;

/// A body of /v1/chat/completions, /v1/completions or /v1/responses, ready for the engine.
struct Call {
  session::Request request;
  session::AnswerOptions options;
  std::shared_ptr<const session::ReadPrompt> prompt;  ///< Of the request; null until all pictures are there.
  std::vector<RemotePicture> remote;                  ///< In ascending order.
  std::vector<std::string> picture_fields;            ///< The field that holds each picture.
  int64_t answers = 1;                                ///< "n"
  int64_t priority = 0;                               ///< As Turn::priority.
  bool chat = true;                                   ///< False: a text completion.
  std::optional<std::string> lora;                    ///< Its name, if "model" chose one.
  std::optional<Json> response;                       ///< Of /v1/responses: the fields that the reply repeats.
  bool stream = false;
  bool usage_at_end = false;  ///< "stream_options": {"include_usage": true}
  bool token_ids = false;     ///< "return_token_ids": true
  bool kept_patches = false;  ///< "show": ["kept_patches"]

  /// The field of the body that holds the prompt.
  const char* prompt_field() const { return response ? "input" : chat ? "messages" : "prompt"; }
};

class Loras;

/// What a call is read against.
struct CallRules {
  const session::Session& session;
  std::vector<std::string> model_names;  ///< What "model" may be, if it is given.
  std::filesystem::path image_root;      ///< As PictureRules::root.
  bool remote_pictures = false;          ///< http: and https: URLs may name pictures, which the caller fetches.
  int64_t most_answers = kMostAnswers;   ///< To one request.
  session::ResponseFormats& formats;
  const Loras* loras = nullptr;  ///< That "model" may name; null: none.
};

/// Read a body. Unknown fields are ignored; known ones that this server can't obey are refused. `seed`: if the body has
/// none. Any thread may call them. Throw Refusal, and Error for pictures, plans and values out of range.
Call read_chat_call(const Json& body, const CallRules& rules, uint64_t seed);
Call read_completion_call(const Json& body, const CallRules& rules, uint64_t seed);
Call read_response_call(const Json& body, const CallRules& rules, uint64_t seed);

/// The options of each answer to a call. The first is drawn as the only one would be, the others from seeds that follow
/// from its seed.
std::vector<session::AnswerOptions> options_of_answers(const Call& call);

/// A body as JSON. Throws Refusal if it is none.
Json read_body(const std::string& text);

}  // namespace lithe::serve
