#include "lithe/model.h"

#include "api/answer.h"
#include "api/ask_all.h"
#include "api/features.h"
#include "api/guard.h"
#include "api/model_impl.h"
#include "api/question.h"
#include "base/error.h"
#include "base/vector_set.h"
#include "checkpoints/read/model_folder.h"
#include "io/hub_cache.h"
#include "plan/parse.h"
#include "session/threads.h"

namespace lithe {

using api::held;

Model::Model(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;
Model::~Model() = default;

Model Model::load(const std::string& name, const LoadOptions& options) {
  return api::guarded([&] {
    session::set_threads(options.threads == 0 ? session::cores_available() : options.threads);
    session::prepare_device(options.device);
    (void)vector_set();  // a wrong LITHE_CPU is refused here
    const std::filesystem::path path = models::model_folder(name);
    const session::OpenOptions how{.lora = options.lora,
                                   .weights = options.weights,
                                   .kv = options.kv,
                                   .device = options.device,
                                   .progress = options.progress};
    return Model(std::make_shared<Impl>(Impl{session::Session::open(path, how), io::name_of_folder(path)}));
  });
}

Answer Model::ask(const Question& question, const OnText& on_text) {
  return ask(question, Listener{on_text, {}, {}});
}

Answer Model::ask(const Question& question, const Listener& listener) {
  const session::Session& session = held(impl_, "model").session;
  session::RequestBuilder builder(session);
  session::Question given;
  const session::AnswerOptions options = api::guarded([&] {
    given = api::given_question(question);
    return builder.options(given);
  });
  return api::ask_heard(listener, options, [&](const session::AnswerOptions& how) {
    return session.answer(builder.request(std::move(given)), how);
  });
}

std::vector<Outcome> Model::ask_all(const std::vector<Question>& questions, const BatchOptions& options) {
  const session::Session& session = held(impl_, "model").session;
  return api::guarded([&] { return api::ask_all(session, questions, options); });
}

PictureFeatures Model::features(const Picture& picture) const {
  const session::Session& session = held(impl_, "model").session;
  return api::guarded([&] {
    const auto source = image::Source::of(api::given_picture(picture), session.decode_options());
    return api::features_of(session.model(), *source.decode());
  });
}

std::string Model::name() const {
  return held(impl_, "model").name;
}
std::string Model::family() const {
  return held(impl_, "model").session.family();
}
std::string Model::plan() const {
  return held(impl_, "model").session.plan().name;
}
const std::vector<std::string>& Model::notes() const {
  return held(impl_, "model").session.notes();
}
std::int64_t Model::weight_bytes() const {
  return held(impl_, "model").session.weight_bytes();
}

std::vector<std::string> plan_names() {
  return api::guarded(plan::builtin_plan_names);
}
std::string version() {
  return LITHE_VERSION;
}

}  // namespace lithe
