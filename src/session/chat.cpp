#include "session/chat.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <iterator>

#include "base/clock.h"
#include "plan/validate.h"
#include "session/answering.h"
#include "session/device_wait.h"
#include "session/errors.h"
#include "session/picture_cache.h"
#include "session/row_origin.h"
#include "session/watch.h"

namespace lithe::session {
namespace {

/// What the layer states hold after a turn.
struct Held {
  Generation generation;
  std::vector<int64_t> ids;             // of the prompt and of the decoded rows; kImageId at each picture
  std::vector<routing::RowKind> kinds;  // [rows held]
  int64_t prompt_rows = 0;
};

/// How many leading rows after the first `before` are the same in both. The i-th picture of a conversation gives the
/// same rows in both.
int64_t equal_tokens(const std::vector<int64_t>& a, const std::vector<int64_t>& b,
                     const std::vector<models::ImageRows>& pictures) {
  const auto end = std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first;
  int64_t rows = end - a.begin();
  size_t picture = 0;
  for (auto id = a.begin(); id != end; ++id) {
    if (*id == text::kImageId) rows += static_cast<int64_t>(pictures[picture++].kinds.size()) - 1;
  }
  return rows;
}

/// Image marks that the model wrote do not stand for pictures. Taking one out may join the text around it to another,
/// which is taken out too.
std::string without_any_mark(std::string text) {
  while (text.find(text::kImageMark) != std::string::npos) text = text::without_marks(text);
  return text;
}

}  // namespace

class Chat::Impl {
 public:
  Impl(const models::Model& model, std::optional<std::string> system)
      : model_(model), system_(std::move(system)), plan_(std::make_shared<const plan::Plan>(model.plan)) {
    reset();
  }

  Answer ask(std::string message, const std::vector<image::Source>& pictures, const AnswerOptions& options) {
    const size_t known = pictures_.size();
    Request request{.messages = messages_};
    request.messages.push_back(text::user_message(std::move(message), pictures.size()));
    try {
      pictures_.insert(pictures_.end(), pictures.begin(), pictures.end());
      Answer answer = run(request, options);
      if (answer.tokens.empty()) {
        forget_after(known);
        return answer;
      }
      messages_ = std::move(request.messages);
      messages_.push_back(text::text_message("assistant", without_any_mark(answer.text)));
      return answer;
    } catch (const Cancelled& end) {
      forget_after(known);
      if (end.thrown) std::rethrow_exception(end.thrown);
      return {.stop = StopReason::cancelled};
    } catch (...) {
      forget_after(known);
      throw;
    }
  }

  void use_plan(const std::optional<plan::Plan>& plan) {
    if (plan) plan::validate(*plan, model_.facts);
    const plan::Plan& next = plan ? *plan : model_.plan;
    if (next == *plan_) return;
    held_.reset();
    if (layers_before_decoder(next) != layers_before_decoder(*plan_)) encoded_.clear();
    plan_ = std::make_shared<const plan::Plan>(next);
  }
  const plan::Plan& plan() const { return *plan_; }

  void reset() {
    held_.reset();
    pictures_.clear();
    encoded_.clear();
    messages_.clear();
    if (system_) messages_.push_back(text::text_message("system", *system_));
  }

  const std::vector<text::Message>& messages() const { return messages_; }

 private:
  Answer run(const Request& request, const AnswerOptions& options) {
    ReadyRequest ready = naming_failures([&] { return make_ready(request, Watch(options)); });
    Held held{.generation = Generation(model_, plan_),
              .ids = ready.prompt.ids,
              .kinds = ready.prompt.kinds,
              .prompt_rows = ready.prompt.rows()};
    Answering answering(model_, std::move(ready), options);
    run_alone(model_, answering);
    Answer answer = answering.take();
    if (answer.tokens.empty()) return answer;
    held.generation = answering.take_generation();
    const int64_t decoded = held.generation.next_position() - held.prompt_rows;
    held.ids.insert(held.ids.end(), answer.tokens.begin(), answer.tokens.begin() + decoded);
    held.kinds.insert(held.kinds.end(), static_cast<size_t>(decoded), routing::RowKind::text);
    held_ = std::move(held);
    return answer;
  }

  /// The whole conversation as rows, and the generation cut back to what may stay.
  ReadyRequest make_ready(const Request& request, const Watch& watch) {
    const c10::InferenceMode no_gradients;
    const Stopwatch clock;
    std::vector<int64_t> ids = prompt_ids(model_, request, pictures_.size());
    encode(ids, watch);
    ReadyRequest ready{.plan = plan_, .prompt = merge(model_, std::move(ids), encoded_)};
    ready.generation = held_ ? cut_back(ready.prompt) : Generation(model_, plan_);
    wait_for(ready.prompt.embeddings);
    ready.image_ms = clock.elapsed_ms();
    return ready;
  }

  /// Encodes the pictures that are not encoded yet, or no longer.
  void encode(const std::vector<int64_t>& ids, const Watch& watch) {
    try {
      PromptLength length(model_, ids);
      forget_other_preparation();
      for (const models::ImageRows& known : encoded_) length.add(known);
      const PicturesToEncode to_encode{.all = pictures_, .first = encoded_.size(), .plan = *plan_};
      encode_pictures(model_, to_encode, watch, [&](models::ImageRows picture) {
        models::ImageRows kept;  // the rows of a prompt, and nothing else of the picture
        kept.rows = std::move(picture.rows);
        kept.kinds = std::move(picture.kinds);
        kept.scores = std::move(picture.scores);
        encoded_.push_back(std::move(kept));
        length.add(encoded_.back());
      });
    } catch (const PromptTooLong& error) {
      throw ConversationTooLong(concat("the conversation has at least ", error.rows(),
                                       " tokens with its pictures, and the model takes ", longest_sequence(model_),
                                       " with the answer"));
    }
  }

  /// Some families prepare a picture that is alone in its conversation in another way: with the second, the rows of the
  /// first change.
  void forget_other_preparation() {
    const auto count = static_cast<int64_t>(pictures_.size());
    if (!encoded_.empty() && !model_.seeing().prepares_alike(encoded_among_, count)) {
      encoded_.clear();
      held_.reset();
    }
    encoded_among_ = count;
  }

  Generation cut_back(const PromptRows& prompt) {
    const plan::Turns turns{.held = held_->kinds,
                            .held_prompt = held_->prompt_rows,
                            .prompt = prompt.kinds,
                            .equal = equal_tokens(held_->ids, prompt.ids, encoded_)};
    Generation generation = std::move(held_->generation);
    generation.keep(rows_that_stay(model_, *plan_, turns));
    held_.reset();
    return generation;
  }

  /// Forgets the pictures after the first `count`.
  void forget_after(size_t count) {
    const auto cut = [count](auto& list) {
      if (count < list.size()) list.erase(list.begin() + static_cast<std::ptrdiff_t>(count), list.end());
    };
    cut(pictures_);
    cut(encoded_);
  }

  const models::Model& model_;
  const std::optional<std::string> system_;
  std::shared_ptr<const plan::Plan> plan_;
  std::vector<text::Message> messages_;
  std::vector<image::Source> pictures_;
  std::vector<models::ImageRows> encoded_;  // the first of pictures_ under plan_, rows and kinds only
  int64_t encoded_among_ = 0;               // how many pictures there were then
  std::optional<Held> held_;
};

Chat::Chat(const Session& session, std::optional<std::string> system)
    : impl_(std::make_unique<Impl>(session.model(), std::move(system))) {}
Chat::Chat(Chat&&) noexcept = default;
Chat::~Chat() = default;

Answer Chat::ask(std::string message, const std::vector<image::Source>& pictures, const AnswerOptions& options) {
  return impl_->ask(std::move(message), pictures, options);
}
void Chat::use_plan(const std::optional<plan::Plan>& plan) {
  impl_->use_plan(plan);
}
const plan::Plan& Chat::plan() const {
  return impl_->plan();
}
void Chat::reset() {
  impl_->reset();
}
const std::vector<text::Message>& Chat::messages() const {
  return impl_->messages();
}

}  // namespace lithe::session
