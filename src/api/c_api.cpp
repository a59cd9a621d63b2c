#include <new>
#include <optional>
#include <string>
#include <vector>

#include "api/c_handles.h"
#include "image/decode.h"

using lithe::api::call;
using lithe::api::given;
using lithe::api::options_of;
using lithe::api::text;

namespace {

thread_local std::string last_error;

lithe_status status_of(lithe::Cause cause) {
  using lithe::Cause;
  switch (cause) {
    case Cause::bad_request:
      return LITHE_BAD_REQUEST;
    case Cause::bad_file:
      return LITHE_BAD_FILE;
    case Cause::no_memory:
    case Cause::internal:
      break;
  }
  return LITHE_FAILED;
}

void put_picture(lithe::Picture picture, lithe_picture** out) {
  given(out, "picture") = new lithe_picture{std::move(picture)};
}

/// A value of lithe_sampling; below 0 or NaN: the model's value.
template <class Value>
std::optional<Value> unless_negative(Value value) {
  return value >= 0 ? std::optional<Value>(value) : std::nullopt;
}

/// The size is checked before that many bytes are read.
std::size_t rgb_bytes(int64_t width, int64_t height) {
  lithe::require(width >= 1 && height >= 1 && width <= lithe::image::kMaxPixels / height, lithe::Fault::bad_request,
                 "A picture of ", width, " x ", height, " pixels is not possible; give 1 to ", lithe::image::kMaxPixels,
                 " pixels in all.");
  return static_cast<std::size_t>(width * height * 3);
}

}  // namespace

namespace lithe::api {

/// If memory is too short even for the sentence, only the status reports the failure.
lithe_status report(Cause cause, const char* sentence) noexcept {
  try {
    last_error = sentence;
  } catch (...) {
    last_error.clear();
  }
  return status_of(cause);
}

}  // namespace lithe::api

const char* lithe_version(void) {
  return LITHE_VERSION;
}
const char* lithe_last_error(void) {
  return last_error.c_str();
}

const char* lithe_plan_name(size_t index) {
  const char* name = nullptr;
  call([&] {
    static const std::vector<std::string> names = lithe::plan_names();
    if (index < names.size()) name = names[index].c_str();
  });
  return name;
}

lithe_status lithe_model_load(const char* name, const lithe_load_options* options, lithe_model** model) {
  return call([&] {
    given(model, "model");
    const lithe_load_options wanted = options_of(options, LITHE_LOAD_OPTIONS_INIT, "lithe_load_options");
    lithe::LoadOptions how{.threads = wanted.threads};
    if (wanted.lora != nullptr) how.lora = wanted.lora;
    if (wanted.weights != nullptr) how.weights = wanted.weights;
    if (wanted.kv != nullptr) how.kv = wanted.kv;
    if (wanted.device != nullptr) how.device = wanted.device;
    if (wanted.progress != nullptr)
      how.progress = [&](int64_t done, int64_t total) { wanted.progress(done, total, wanted.user); };
    *model = new lithe_model{lithe::Model::load(text(name, "name"), how)};
  });
}

void lithe_model_free(lithe_model* model) {
  delete model;
}

const char* lithe_model_name(const lithe_model* model) {
  return model == nullptr ? "" : model->name.c_str();
}
const char* lithe_model_family(const lithe_model* model) {
  return model == nullptr ? "" : model->family.c_str();
}
const char* lithe_model_plan(const lithe_model* model) {
  return model == nullptr ? "" : model->plan.c_str();
}
const char* lithe_model_note(const lithe_model* model, size_t index) {
  if (model == nullptr || index >= model->model.notes().size()) return nullptr;
  return model->model.notes()[index].c_str();
}
int64_t lithe_model_weight_bytes(const lithe_model* model) {
  return model == nullptr ? 0 : model->model.weight_bytes();
}

lithe_status lithe_picture_from_file(const char* path, lithe_picture** picture) {
  return call([&] { put_picture(lithe::Picture::from_file(text(path, "path")), picture); });
}

lithe_status lithe_picture_from_memory(const void* bytes, size_t size, lithe_picture** picture) {
  return call([&] {
    const auto* const first = &given(static_cast<const std::uint8_t*>(bytes), "bytes");
    put_picture(lithe::Picture::from_memory({first, first + size}), picture);
  });
}

lithe_status lithe_picture_from_rgb(const uint8_t* rgb, int64_t width, int64_t height, lithe_picture** picture) {
  return call([&] {
    const std::size_t size = rgb_bytes(width, height);
    const std::uint8_t* const first = &given(rgb, "rgb");
    put_picture(lithe::Picture::from_rgb({first, first + size}, width, height), picture);
  });
}

void lithe_picture_free(lithe_picture* picture) {
  delete picture;
}

lithe_status lithe_question_new(const char* prompt, lithe_question** question) {
  return call([&] {
    given(question, "question");
    lithe::Question asked;
    asked.prompt = text(prompt, "prompt");
    *question = new lithe_question{std::move(asked)};
  });
}

lithe_status lithe_question_add_picture(lithe_question* question, const lithe_picture* picture) {
  return call([&] { given(question, "question").question.pictures.push_back(given(picture, "picture").picture); });
}

lithe_status lithe_question_set_system(lithe_question* question, const char* system) {
  return call([&] { given(question, "question").question.system = text(system, "text"); });
}

lithe_status lithe_question_set_plan(lithe_question* question, const char* plan) {
  return call([&] { given(question, "question").question.plan = text(plan, "plan"); });
}

lithe_status lithe_question_set_raw(lithe_question* question, int raw) {
  return call([&] { given(question, "question").question.raw = raw != 0; });
}

lithe_status lithe_question_set_max_tokens(lithe_question* question, int64_t count) {
  return call([&] { given(question, "question").question.max_tokens = count; });
}

lithe_status lithe_question_add_stop(lithe_question* question, const char* stop) {
  return call([&] { given(question, "question").question.stop.push_back(text(stop, "text")); });
}

lithe_status lithe_question_set_sampling(lithe_question* question, const lithe_sampling* sampling) {
  return call([&] {
    const lithe_sampling wanted = options_of(&given(sampling, "sampling"), LITHE_SAMPLING_INIT, "lithe_sampling");
    given(question, "question").question.sampling = {.temperature = unless_negative(wanted.temperature),
                                                     .top_k = unless_negative(wanted.top_k),
                                                     .top_p = unless_negative(wanted.top_p),
                                                     .min_p = unless_negative(wanted.min_p),
                                                     .repetition_penalty = unless_negative(wanted.repetition_penalty),
                                                     .seed = wanted.seed};
  });
}

void lithe_question_free(lithe_question* question) {
  delete question;
}

lithe_status lithe_features_of(const lithe_model* model, const lithe_picture* picture, lithe_features** features) {
  return call([&] {
    given(features, "features");
    *features = new lithe_features{given(model, "model").model.features(given(picture, "picture").picture)};
  });
}

lithe_features_view lithe_features_read(const lithe_features* features) {
  if (features == nullptr) return {};
  const lithe::PictureFeatures& f = features->features;
  return {f.tiles, f.tokens, f.width, f.tower.data(), f.rows, f.hidden, f.projected.data()};
}

void lithe_features_free(lithe_features* features) {
  delete features;
}
