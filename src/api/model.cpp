#include "lithe/model.h"

#include <exception>

#include "api/features.h"
#include "api/guard.h"
#include "api/request.h"
#include "base/error.h"
#include "base/vector_set.h"
#include "plan/parse.h"
#include "session/threads.h"

namespace lithe {

struct Model::Impl {
  session::Session session;
  std::string name;
};

namespace {

Answer public_answer(session::Answer&& answer) {
  Answer out;
  out.text = std::move(answer.text);
  out.tokens = std::move(answer.tokens);
  out.stop = session::name_of(answer.stop);
  out.prompt_rows = answer.timings.prompt_rows;
  out.vision_rows = answer.timings.vision_rows;
  out.cache_bytes = answer.cache.bytes_at_end;
  out.image_ms = answer.timings.image_ms;
  out.prefill_ms = answer.timings.prefill_ms;
  out.decode_ms = answer.timings.decode_ms;
  return out;
}

/// A caller's callback. What it throws ends the answer and is kept for the caller, whose type it is.
class Listener {
 public:
  explicit Listener(const OnText& on_text) : on_text_(on_text) {}

  bool operator()(const std::string& piece) {
    try {
      return !on_text_ || on_text_(piece);
    } catch (...) {
      thrown_ = std::current_exception();
      return false;
    }
  }

  void rethrow() const {
    if (thrown_) std::rethrow_exception(thrown_);
  }

 private:
  const OnText& on_text_;
  std::exception_ptr thrown_;
};

/// A model that was moved away has nothing left.
template <class Impl>
Impl& held(const std::unique_ptr<Impl>& impl) {
  if (!impl) throw Failure(Cause::bad_request, "This model was moved away; use the one that it was moved to.");
  return *impl;
}

}  // namespace

Model::Model(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;
Model::~Model() = default;

Model Model::load(const std::string& folder, const LoadOptions& options) {
  return api::guarded([&] {
    session::set_threads(options.threads == 0 ? session::cores_available() : options.threads);
    session::prepare_device(options.device);
    (void)vector_set();  // a wrong LITHE_CPU is refused here
    std::filesystem::path path = std::filesystem::path(folder).lexically_normal();
    if (!path.has_filename()) path = path.parent_path();
    const session::OpenOptions how{
        .lora = options.lora, .weights = options.weights, .device = options.device, .progress = options.progress};
    return Model(std::make_unique<Impl>(Impl{session::Session::open(path, how), path.filename().string()}));
  });
}

Answer Model::ask(const Question& question, const OnText& on_text) {
  Impl& impl = held(impl_);
  Listener listener(on_text);
  Answer answer = api::guarded([&] {
    session::AnswerOptions options = api::options_of(question, impl.session);
    options.on_text = std::ref(listener);
    return public_answer(impl.session.answer(api::request_of(question, impl.session), options));
  });
  listener.rethrow();
  return answer;
}

PictureFeatures Model::features(const Picture& picture) const {
  const session::Session& session = held(impl_).session;
  return api::guarded(
      [&] { return api::features_of(session.model(), api::decode(picture, session.decode_options())); });
}

std::string Model::name() const {
  return held(impl_).name;
}
std::string Model::family() const {
  return held(impl_).session.family();
}
std::string Model::plan() const {
  return held(impl_).session.plan().name;
}
std::int64_t Model::weight_bytes() const {
  return held(impl_).session.weight_bytes();
}

std::vector<std::string> plan_names() {
  return api::guarded(plan::builtin_plan_names);
}
std::string version() {
  return LITHE_VERSION;
}

}  // namespace lithe
