#include "text/labels.h"

#include <algorithm>

#include "base/error.h"
#include "text/conversation.h"

namespace lithe::text {
namespace {

std::vector<std::string> split(const std::string& text, const std::string& separator) {
  std::vector<std::string> parts;
  std::size_t start = 0;
  for (std::size_t at = text.find(separator); at != std::string::npos; at = text.find(separator, start)) {
    parts.push_back(text.substr(start, at - start));
    start = at + separator.size();
  }
  parts.push_back(text.substr(start));
  return parts;
}

/// How one sample's texts become ids.
struct Encoder {
  const Tokenizer& tokenizer;
  bool has_image;

  std::vector<int64_t> ids(const std::string& text) const {
    return has_image ? tokenizer.encode_with_images(text, Dialect::original) : tokenizer.encode(text, true);
  }
  int64_t count(const std::string& text) const { return static_cast<int64_t>(ids(text).size()); }
};

void ignore(std::vector<int64_t>& labels, int64_t begin, int64_t end) {
  const auto size = static_cast<int64_t>(labels.size());
  begin = std::clamp<int64_t>(begin, 0, size);
  end = std::clamp<int64_t>(end, begin, size);
  std::fill(labels.begin() + begin, labels.begin() + end, kIgnored);
}

/// Rounds are tokenised again one by one to find where each begins. The counts hold for LLaMA's vocabulary: a round's
/// own BOS stands for the end token that the cut took away; the head of the answer counts BOS and a trailing space too
/// much.
void label_rounds(const Conversation& conversation, const std::string& prompt, const Encoder& encoder,
                  int64_t max_length, LabelledIds& result) {
  const bool llama_2 = conversation.layout == Layout::llama_2;
  const std::string head = llama_2 ? "[/INST] " : concat(conversation.separator, conversation.assistant, ": ");
  // After an end token a non-legacy tokenizer writes "USER" without the space mark that a text of its own begins with.
  const bool joined = !llama_2 && !encoder.tokenizer.legacy();
  int64_t at = 1;
  ignore(result.labels, 0, at);
  const std::vector<std::string> rounds = split(prompt, conversation.end);
  for (std::size_t i = 0; i < rounds.size() && !rounds[i].empty(); ++i) {
    const std::vector<std::string> parts = split(rounds[i], head);
    if (parts.size() != 2) break;
    const int64_t less = i != 0 && joined ? 1 : 0;
    ignore(result.labels, at, at + encoder.count(parts[0] + head) - 2 - less);
    at += encoder.count(rounds[i]) - less;
  }
  const auto size = static_cast<int64_t>(result.labels.size());
  ignore(result.labels, at, size);
  const int64_t pad = encoder.tokenizer.pad().value_or(-1);
  result.mismatch = at < max_length && at != size - std::count(result.ids.begin(), result.ids.end(), pad);
  if (result.mismatch) ignore(result.labels, 0, size);
}

LabelledIds label_caption(const Conversation& conversation, std::span<const Message> messages, const Encoder& encoder) {
  const bool pair = messages.size() == 2 && messages[0].role == "user" && messages[1].role == "assistant";
  require(pair && flatten(messages[0]).find(kImageMark) != std::string::npos, Fault::bad_request,
          "conversation plain: training takes one user message with an image and one answer");
  // What the user says besides the image is dropped.
  LabelledIds result;
  result.ids = encoder.ids(concat(kImageMark, flatten(messages[1]), conversation.separator));
  result.labels = result.ids;
  ignore(result.labels, 0, encoder.count(kImageMark));
  return result;
}

/// LaVIN: a question and an answer, and the end of a text. The answer begins after as many tokens as the question has.
LabelledIds label_lavin(const Conversation& conversation, std::span<const Message> messages, const Encoder& encoder,
                        int64_t max_length) {
  const bool pair = messages.size() == 2 && messages[0].role == "user" && messages[1].role == "assistant";
  require(pair, Fault::bad_request, "conversation ", conversation.name,
          ": training takes one question and one answer; make a record of each turn");
  const Encoder marked{encoder.tokenizer, true};
  LabelledIds result;
  result.ids = marked.ids(render_conversation(conversation.name, messages, false));
  const std::optional<int64_t> eos = encoder.tokenizer.eos();
  if (eos) result.ids.push_back(*eos);
  const auto size = static_cast<std::size_t>(std::max<int64_t>(max_length, 0));
  if (!encoder.has_image && result.ids.size() > size) result.ids.resize(size);
  result.labels = result.ids;
  ignore(result.labels, 0, marked.count(render_conversation(conversation.name, messages.first(1), true)));
  return result;
}

}  // namespace

LabelledIds label_conversation(std::string_view name, std::span<const Message> messages, const Tokenizer& tokenizer,
                               bool has_image, int64_t max_length) {
  const Conversation& conversation = conversation_named(name);
  if (conversation.layout == Layout::plain) return label_caption(conversation, messages, {tokenizer, true});
  if (conversation.layout == Layout::lavin)
    return label_lavin(conversation, messages, {tokenizer, has_image}, max_length);
  const bool trains = conversation.layout == Layout::llama_2 ||
                      (conversation.layout == Layout::turns && std::string_view(conversation.end) == "</s>");
  require(trains, Fault::bad_request, "conversation ", conversation.name,
          ": it has no training form; use vicuna_v1, llava_v1, v1_mmtag, llava_llama_2, plain or lavin");
  const std::string prompt = render_conversation(name, messages, false);
  const Encoder encoder{tokenizer, has_image};
  LabelledIds result;
  result.ids = encoder.ids(prompt);
  if (!has_image && static_cast<int64_t>(result.ids.size()) > max_length) {
    result.ids.resize(static_cast<std::size_t>(std::max<int64_t>(max_length, 0)));
  }
  result.labels = result.ids;
  label_rounds(conversation, prompt, encoder, max_length, result);
  return result;
}

}  // namespace lithe::text
