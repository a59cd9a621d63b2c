#include "tune/sample.h"

#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "text/conversation.h"
#include "text/labels.h"

namespace lithe::tune {
namespace {

bool has_mark(const text::Message& message) {
  return text::flatten(message).find(text::kImageMark) != std::string::npos;
}

/// The conversation that training follows; empty: the chat template.
std::string conversation_of(const models::Prompting& prompting, const SampleOptions& options) {
  if (!options.conversation.empty()) return options.conversation;
  return prompting.chat_template ? "" : prompting.conversation;
}

/// What the template writes of the first `count` messages; `open`: up to where the next answer begins.
std::vector<int64_t> ids_of(const models::Prompting& prompting, std::span<const text::Message> messages, bool open) {
  return prompting.tokenizer->encode_with_images(prompting.render({messages.begin(), messages.end()}, open),
                                                 prompting.dialect);
}

bool begins_with(const std::vector<int64_t>& ids, const std::vector<int64_t>& head) {
  return head.size() <= ids.size() && std::equal(head.begin(), head.end(), ids.begin());
}

text::LabelledIds label_by_template(const models::Model& model, std::span<const text::Message> messages) {
  const models::Prompting& prompting = model.prompting;
  text::LabelledIds result;
  result.ids = ids_of(prompting, messages, false);
  result.labels.assign(result.ids.size(), text::kIgnored);
  size_t last_answer = 0;  // where it begins
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role != "assistant") continue;
    const std::vector<int64_t> before = ids_of(prompting, messages.first(i), true),
                               after = ids_of(prompting, messages.first(i + 1), false);
    if (!begins_with(after, before) || !begins_with(result.ids, after)) {
      result.mismatch = true;
      return result;
    }
    last_answer = before.size();
    std::copy(result.ids.begin() + static_cast<std::ptrdiff_t>(before.size()),
              result.ids.begin() + static_cast<std::ptrdiff_t>(after.size()),
              result.labels.begin() + static_cast<std::ptrdiff_t>(before.size()));
  }
  const std::optional<int64_t> eos = prompting.tokenizer->eos();
  const bool ends = std::any_of(result.labels.begin() + static_cast<std::ptrdiff_t>(last_answer), result.labels.end(),
                                [&](int64_t label) { return label != text::kIgnored && prompting.ends(label); });
  if (!ends && eos) {
    result.ids.push_back(*eos);
    result.labels.push_back(*eos);
  }
  return result;
}

text::LabelledIds label(const models::Model& model, const data::Record& record, const SampleOptions& options) {
  require(!record.turns.empty() && record.turns.back().role == "assistant", Fault::bad_request,
          "its last message is not an answer (role \"assistant\" or \"gpt\")");
  const std::vector<text::Message> messages = messages_of(model, record, options);
  const std::string conversation = conversation_of(model.prompting, options);
  if (conversation.empty()) return label_by_template(model, messages);
  const bool has_image = std::any_of(messages.begin(), messages.end(), has_mark);
  const int64_t longest = options.cuts ? options.longest : std::numeric_limits<int64_t>::max();
  return text::label_conversation(conversation, messages, *model.prompting.tokenizer, has_image, longest);
}

/// How many rows a picture takes. Packing is asked with features of one number.
int64_t rows_of(const models::Vision& vision, const models::PreparedImage& picture) {
  const at::Tensor features = at::zeros({picture.pixels.tiles, vision.tower.config.tokens(), 1});
  const std::optional<at::Tensor> newline = vision.newline ? std::optional(at::zeros({1})) : std::nullopt;
  return models::pack(vision.packing, vision.tower.config, newline, picture.views, features).rows.size(0);
}

/// What packing and the model take for granted.
void check_ids(const models::Model& model, const std::vector<int64_t>& ids, size_t pictures) {
  const auto marks = static_cast<size_t>(std::count(ids.begin(), ids.end(), text::kImageId));
  require(marks == pictures, Fault::bad_request, "its tokens have ", marks, " image mark", marks == 1 ? "" : "s",
          " for ", pictures, pictures == 1 ? " picture" : " pictures",
          "; LLaVA's own conversations take one picture in a message");
  const int64_t vocab = model.decoder.config.vocab;
  const auto unknown =
      std::find_if(ids.begin(), ids.end(), [&](int64_t id) { return id != text::kImageId && (id < 0 || id >= vocab); });
  require(unknown == ids.end(), Fault::bad_file, "the tokenizer gives the id ", unknown == ids.end() ? 0 : *unknown,
          ", but the model has ", vocab, " token embeddings");
}

}  // namespace

int64_t Sample::learnt() const {
  return static_cast<int64_t>(labels.size()) - std::count(labels.begin(), labels.end(), text::kIgnored);
}

Sample make_sample(const models::Model& model, const data::Record& record, const SampleOptions& options) {
  require(model.prompting.tokenizer.has_value(), Fault::bad_file, model.name, ": has no tokenizer, so it cannot learn");
  Sample sample{.name = record.name};
  try {
    text::LabelledIds labelled = label(model, record, options);
    require(
        !labelled.mismatch, Fault::bad_request,
        "its answers cannot be told from its questions in the tokens; an answer may be empty or hold a turn's head");
    sample.ids = std::move(labelled.ids);
    sample.labels = std::move(labelled.labels);
    require(sample.learnt() > 0, Fault::bad_request, "no token of it is learnt");
    if (!options.cuts) check_ids(model, sample.ids, record.images.size());
    for (const image::Source& picture : record.images) {
      const auto pictures = static_cast<int64_t>(record.images.size());
      sample.pictures.push_back(
          std::make_shared<const models::PreparedImage>(model.seeing().prepare(*picture.decode(), pictures)));
    }
  } catch (const Error& error) {
    fail(error.fault(), record.name, ": ", error.what());
  }
  return sample;
}

std::vector<text::Message> messages_of(const models::Model& model, const data::Record& record,
                                       const SampleOptions& options) {
  std::vector<text::Message> messages;
  for (const data::Turn& turn : record.turns) messages.push_back(text::text_message(turn.role, turn.text));
  const std::string conversation = conversation_of(model.prompting, options);
  const bool has_image = std::any_of(messages.begin(), messages.end(), has_mark);
  if (has_image && !conversation.empty()) text::move_image_mark(conversation, messages);
  return messages;
}

void count_rows(const models::Model& model, Sample& sample, const SampleOptions& options) {
  sample.rows = model.decoder.rows_before() + static_cast<int64_t>(sample.ids.size());
  for (const auto& picture : sample.pictures) sample.rows += rows_of(model.seeing(), *picture) - 1;
  require(options.cuts || sample.rows <= options.longest, Fault::bad_request, sample.name, ": it has ", sample.rows,
          " tokens with its pictures, and model_max_length is ", options.longest);
}

}  // namespace lithe::tune
