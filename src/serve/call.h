#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "serve/fields.h"
#include "serve/raw_prompts.h"
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
/// The most choices of a reply: prompts times "n".
inline constexpr int64_t kMostChoices = 128;

/// A body of /v1/chat/completions, /v1/completions or /v1/responses, ready for the engine.
struct Call {
  session::Request request;
  session::AnswerOptions options;
  std::vector<RawPrompt> raw;  ///< Of a text completion, in place of the prompt of the request.
  /// Of `raw`, else of the request; empty until all pictures are there.
  std::vector<std::shared_ptr<const session::ReadPrompt>> prompts;
  std::vector<RemotePicture> remote;        ///< In ascending order.
  std::vector<std::string> picture_fields;  ///< The field that holds each picture.
  int64_t answers = 1;                      ///< "n", to each prompt.
  bool seeded = false;                      ///< The body has a seed.
  int64_t priority = 0;                     ///< As Turn::priority.
  bool chat = true;                         ///< False: a text completion.
  std::optional<std::string> lora;          ///< Its name, if "model" chose one.
  std::optional<Json> response;             ///< Of /v1/responses: the fields that the reply repeats.
  bool stream = false;
  bool usage_at_end = false;  ///< "stream_options": {"include_usage": true}
  bool token_ids = false;     ///< "return_token_ids": true
  bool kept_patches = false;  ///< "show": ["kept_patches"]

  /// The field of the body that holds the prompt of this number.
  std::string prompt_field(std::size_t number = 0) const {
    return raw.size() > 1 ? place_in("prompt", number) : response ? "input" : chat ? "messages" : "prompt";
  }
};

class Loras;

/// What a call is read against.
struct CallRules {
  const session::Session& session;
  std::vector<std::string> model_names;  ///< What "model" may be, if it is given.
  std::filesystem::path image_root;      ///< As PictureRules::root.
  bool remote_pictures = false;          ///< http: and https: URLs may name pictures, which the caller fetches.
  int64_t most_answers = kMostAnswers;   ///< To one prompt.
  int64_t most_prompts = kMostChoices;   ///< Of one request.
  session::ResponseFormats& formats;
  const Loras* loras = nullptr;  ///< That "model" may name; null: none.
};

/// Read a body. Unknown fields are ignored; known ones that this server can't obey are refused. `seed`: if the body has
/// none. Any thread may call them. Throw Refusal, and Error for pictures, plans and values out of range.
Call read_chat_call(const Json& body, const CallRules& rules, uint64_t seed);
Call read_completion_call(const Json& body, const CallRules& rules, uint64_t seed);
Call read_response_call(const Json& body, const CallRules& rules, uint64_t seed);

/// The options of each answer to the prompt of this number. The first is drawn as the only one would be, the others
/// from seeds that follow from its seed. If the body has a seed, each prompt is answered as alone, else also prompts
/// that are equal get answers of their own.
std::vector<session::AnswerOptions> options_of_answers(const Call& call, std::size_t prompt);

/// A body as JSON. Throws Refusal if it is none.
Json read_body(const std::string& text);

}  // namespace lithe::serve
