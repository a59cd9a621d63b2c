#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/c_handles.h"

using lithe::api::call;
using lithe::api::given;
using lithe::api::options_of;

namespace {

template <class Number>
Number number_of(const lithe_answer* answer, Number lithe::Answer::*number) {
  return answer == nullptr ? 0 : answer->answer.*number;
}

const int64_t* list_of(const lithe_answer* answer, std::vector<int64_t> lithe::Answer::*list, size_t* count) {
  if (count != nullptr) *count = answer == nullptr ? 0 : (answer->answer.*list).size();
  return answer == nullptr ? nullptr : (answer->answer.*list).data();
}

void put_answer(lithe::Answer&& made, lithe_answer** answer) {
  if (answer != nullptr) *answer = new lithe_answer{std::move(made)};
}

lithe::Listener heard(const lithe_listener* listener) {
  return lithe::api::listener_of(options_of(listener, LITHE_LISTENER_INIT, "lithe_listener"));
}

lithe_progress progress_of(const lithe::Progress& progress) {
  using Stage = lithe::Progress::Stage;
  const lithe_stage stage = progress.stage == Stage::pictures  ? LITHE_STAGE_PICTURES
                            : progress.stage == Stage::prefill ? LITHE_STAGE_PREFILL
                                                               : LITHE_STAGE_DECODE;
  return {stage, progress.done, progress.total, progress.item, progress.items, progress.rows};
}

}  // namespace

lithe::Listener lithe::api::listener_of(const lithe_listener& wanted) {
  Listener listener;
  if (wanted.on_text != nullptr) {
    listener.on_text = [wanted](std::string_view piece) {
      const std::string closed(piece);
      return wanted.on_text(closed.c_str(), closed.size(), wanted.user) != 0;
    };
  }
  if (wanted.on_progress != nullptr) {
    listener.on_progress = [wanted](const Progress& progress) {
      const lithe_progress told = progress_of(progress);
      wanted.on_progress(&told, wanted.user);
    };
  }
  if (wanted.cancel != nullptr) listener.cancel = wanted.cancel->source.get_token();
  return listener;
}

lithe_status lithe_cancel_new(lithe_cancel** cancel) {
  return call([&] { given(cancel, "cancel") = new lithe_cancel; });
}
void lithe_cancel_request(lithe_cancel* cancel) {
  if (cancel != nullptr) cancel->source.request_stop();
}
void lithe_cancel_free(lithe_cancel* cancel) {
  delete cancel;
}

lithe_status lithe_ask(lithe_model* model, const lithe_question* question, lithe_on_text on_text, void* user,
                       lithe_answer** answer) {
  lithe_listener listener = LITHE_LISTENER_INIT;
  listener.on_text = on_text;
  listener.user = user;
  return lithe_ask_heard(model, question, &listener, answer);
}

lithe_status lithe_ask_heard(lithe_model* model, const lithe_question* question, const lithe_listener* listener,
                             lithe_answer** answer) {
  return call([&] {
    lithe::Model& asked = given(model, "model").model;
    put_answer(asked.ask(given(question, "question").question, heard(listener)), answer);
  });
}

lithe_status lithe_conversation_new(lithe_model* model, const char* system, lithe_conversation** conversation) {
  return call([&] {
    std::optional<std::string> message;
    if (system != nullptr) message = system;
    given(conversation, "conversation") =
        new lithe_conversation{lithe::Conversation(given(model, "model").model, message)};
  });
}

lithe_status lithe_conversation_ask(lithe_conversation* conversation, const lithe_question* question,
                                    const lithe_listener* listener, lithe_answer** answer) {
  return call([&] {
    lithe::Conversation& asked = given(conversation, "conversation").conversation;
    put_answer(asked.ask(given(question, "question").question, heard(listener)), answer);
  });
}

lithe_status lithe_conversation_use_plan(lithe_conversation* conversation, const char* plan) {
  return call([&] {
    std::optional<std::string> wanted;
    if (plan != nullptr) wanted = plan;
    given(conversation, "conversation").conversation.use_plan(wanted);
  });
}

lithe_status lithe_conversation_reset(lithe_conversation* conversation) {
  return call([&] { given(conversation, "conversation").conversation.reset(); });
}

void lithe_conversation_free(lithe_conversation* conversation) {
  delete conversation;
}

const char* lithe_answer_text(const lithe_answer* answer) {
  return answer == nullptr ? "" : answer->answer.text.c_str();
}
lithe_stop lithe_answer_stop_reason(const lithe_answer* answer) {
  using lithe::StopReason;
  switch (answer == nullptr ? StopReason::cancelled : answer->answer.stop) {
    case StopReason::eos:
      return LITHE_STOP_EOS;
    case StopReason::stop_string:
      return LITHE_STOP_STRING;
    case StopReason::length:
      return LITHE_STOP_LENGTH;
    case StopReason::cancelled:
      break;
  }
  return LITHE_STOP_CANCELLED;
}
const char* lithe_answer_stop(const lithe_answer* answer) {
  return answer == nullptr ? "" : lithe::name_of(answer->answer.stop);
}

const int64_t* lithe_answer_tokens(const lithe_answer* answer, size_t* count) {
  return list_of(answer, &lithe::Answer::tokens, count);
}
const int64_t* lithe_answer_layer_rows(const lithe_answer* answer, size_t* count) {
  return list_of(answer, &lithe::Answer::layer_rows, count);
}
const int64_t* lithe_answer_layer_cache_rows(const lithe_answer* answer, size_t* count) {
  return list_of(answer, &lithe::Answer::layer_cache_rows, count);
}

int64_t lithe_answer_prompt_rows(const lithe_answer* answer) {
  return number_of(answer, &lithe::Answer::prompt_rows);
}
int64_t lithe_answer_vision_rows(const lithe_answer* answer) {
  return number_of(answer, &lithe::Answer::vision_rows);
}
int64_t lithe_answer_reused_rows(const lithe_answer* answer) {
  return number_of(answer, &lithe::Answer::reused_rows);
}
int64_t lithe_answer_cache_bytes(const lithe_answer* answer) {
  return number_of(answer, &lithe::Answer::cache_bytes);
}
double lithe_answer_prefill_flops(const lithe_answer* answer) {
  return number_of(answer, &lithe::Answer::prefill_flops);
}
double lithe_answer_dense_prefill_flops(const lithe_answer* answer) {
  return number_of(answer, &lithe::Answer::dense_prefill_flops);
}
double lithe_answer_image_ms(const lithe_answer* answer) {
  return number_of(answer, &lithe::Answer::image_ms);
}
double lithe_answer_prefill_ms(const lithe_answer* answer) {
  return number_of(answer, &lithe::Answer::prefill_ms);
}
double lithe_answer_decode_ms(const lithe_answer* answer) {
  return number_of(answer, &lithe::Answer::decode_ms);
}

void lithe_answer_free(lithe_answer* answer) {
  delete answer;
}
