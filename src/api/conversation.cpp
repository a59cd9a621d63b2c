#include "api/answer.h"
#include "api/guard.h"
#include "api/model_impl.h"
#include "api/question.h"
#include "base/error.h"
#include "session/chat.h"

namespace lithe {

using api::held;

struct Conversation::Impl {
  std::shared_ptr<Model::Impl> model;
  session::Chat chat;
};

Conversation::Conversation(const Model& model, const std::optional<std::string>& system)
    : impl_(api::guarded([&] {
        const session::Session& session = held(model.impl_, "model").session;
        return std::make_unique<Impl>(Impl{model.impl_, session::Chat(session, system)});
      })) {}
Conversation::Conversation(Conversation&&) noexcept = default;
Conversation& Conversation::operator=(Conversation&&) noexcept = default;
Conversation::~Conversation() = default;

Answer Conversation::ask(const Question& question, const OnText& on_text) {
  return ask(question, Listener{on_text, {}, {}});
}

Answer Conversation::ask(const Question& question, const Listener& listener) {
  Impl& impl = held(impl_, "conversation");
  session::RequestBuilder builder(impl.model->session);
  session::Question given;
  const session::AnswerOptions options = api::guarded([&] {
    require(!question.raw && !question.system, Fault::bad_request,
            "A turn of a conversation takes neither a raw prompt nor a system message; give the latter to the "
            "conversation.");
    given = api::given_question(question);
    return builder.options(given);
  });
  return api::ask_heard(listener, options, [&](const session::AnswerOptions& how) {
    const std::vector<image::Source> pictures = builder.pictures(std::move(given.pictures));
    if (given.plan) impl.chat.use_plan(builder.plan(*given.plan));
    return impl.chat.ask(given.prompt, pictures, how);
  });
}

void Conversation::use_plan(const std::optional<std::string>& plan) {
  Impl& impl = held(impl_, "conversation");
  api::guarded([&] {
    if (!plan) return impl.chat.use_plan(std::nullopt);
    impl.chat.use_plan(session::RequestBuilder(impl.model->session).plan(*plan));
  });
}

std::string Conversation::plan() const {
  return held(impl_, "conversation").chat.plan().name;
}

void Conversation::reset() {
  held(impl_, "conversation").chat.reset();
}

}  // namespace lithe
