#include <cstring>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "api/guard.h"
#include "base/error.h"
#include "image/decode.h"
#include "lithe/lithe.h"
#include "lithe/model.h"

struct lithe_model {
  lithe::Model model;
  std::string name = model.name(), family = model.family(), plan = model.plan();
};
struct lithe_picture {
  lithe::Picture picture;
};
struct lithe_question {
  lithe::Question question;
};
struct lithe_answer {
  lithe::Answer answer;
};
struct lithe_features {
  lithe::PictureFeatures features;
};

namespace {

using lithe::Cause;
using lithe::Failure;
using lithe::Fault;
using lithe::Picture;

thread_local std::string last_error;

lithe_status status_of(Cause cause) {
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

/// Where memory is so short that not even the sentence fits, the status alone has to say it.
lithe_status report(Cause cause, const char* sentence) noexcept {
  try {
    last_error = sentence;
  } catch (...) {
    last_error.clear();
  }
  return status_of(cause);
}

/// The boundary: no exception crosses it.
template <class Work>
lithe_status call(const Work& work) noexcept {
  try {
    lithe::api::guarded(work);
    return LITHE_OK;
  } catch (const Failure& failure) {
    return report(failure.cause(), failure.what());
  } catch (...) {
    return report(Cause::internal, "A failure could not be told, for want of memory.");
  }
}

template <class T>
T& given(T* pointer, const char* what) {
  lithe::require(pointer != nullptr, Fault::bad_request, "The argument '", what, "' is NULL; it has to be given.");
  return *pointer;
}

std::string text(const char* string, const char* what) {
  return &given(string, what);
}

void put_picture(Picture picture, lithe_picture** out) {
  given(out, "picture") = new lithe_picture{std::move(picture)};
}

/// What a program has filled of a struct whose first member is its size; the rest is as in `initial`.
template <class Options>
Options options_of(const Options* options, const Options& initial, const char* type) {
  Options filled = initial;
  if (options == nullptr) return filled;
  lithe::require(options->size >= sizeof options->size && options->size <= sizeof filled, Fault::bad_request,
                 "The size of ", type, " is ", options->size, ", not ", sizeof filled,
                 " or less; begin with its INIT, and link a library as new as the header.");
  std::memcpy(&filled, options, options->size);
  return filled;
}

/// A value of lithe_sampling; below 0, or NaN, it is the model's.
template <class Value>
std::optional<Value> unless_negative(Value value) {
  return value >= 0 ? std::optional<Value>(value) : std::nullopt;
}

template <class Number>
Number number_of(const lithe_answer* answer, Number lithe::Answer::*number) {
  return answer == nullptr ? 0 : answer->answer.*number;
}

/// Bounded before anything of that size is read.
std::size_t rgb_bytes(int64_t width, int64_t height) {
  lithe::require(width >= 1 && height >= 1 && width <= lithe::image::kMaxPixels / height, Fault::bad_request,
                 "A picture of ", width, " x ", height, " pixels can't be; give 1 to ", lithe::image::kMaxPixels,
                 " in all.");
  return static_cast<std::size_t>(width * height * 3);
}

}  // namespace

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

lithe_status lithe_model_load(const char* folder, const lithe_load_options* options, lithe_model** model) {
  return call([&] {
    given(model, "model");
    const lithe_load_options wanted = options_of(options, LITHE_LOAD_OPTIONS_INIT, "lithe_load_options");
    lithe::LoadOptions how{.threads = wanted.threads};
    if (wanted.lora != nullptr) how.lora = wanted.lora;
    if (wanted.weights != nullptr) how.weights = wanted.weights;
    if (wanted.device != nullptr) how.device = wanted.device;
    if (wanted.progress != nullptr)
      how.progress = [&](int64_t done, int64_t total) { wanted.progress(done, total, wanted.user); };
    *model = new lithe_model{lithe::Model::load(text(folder, "folder"), how)};
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
int64_t lithe_model_weight_bytes(const lithe_model* model) {
  return model == nullptr ? 0 : model->model.weight_bytes();
}

lithe_status lithe_picture_from_file(const char* path, lithe_picture** picture) {
  return call([&] { put_picture(Picture::from_file(text(path, "path")), picture); });
}

lithe_status lithe_picture_from_memory(const void* bytes, size_t size, lithe_picture** picture) {
  return call([&] {
    const auto* const first = &given(static_cast<const std::uint8_t*>(bytes), "bytes");
    put_picture(Picture::from_memory({first, first + size}), picture);
  });
}

lithe_status lithe_picture_from_rgb(const uint8_t* rgb, int64_t width, int64_t height, lithe_picture** picture) {
  return call([&] {
    const std::size_t size = rgb_bytes(width, height);
    const std::uint8_t* const first = &given(rgb, "rgb");
    put_picture(Picture::from_rgb({first, first + size}, width, height), picture);
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

lithe_status lithe_question_set_plan(lithe_question* question, const char* name_or_file) {
  return call([&] { given(question, "question").question.plan = text(name_or_file, "name_or_file"); });
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

lithe_status lithe_ask(lithe_model* model, const lithe_question* question, lithe_on_text on_text, void* user,
                       lithe_answer** answer) {
  return call([&] {
    lithe::OnText listener;
    if (on_text != nullptr) {
      listener = [&](std::string_view piece) {
        const std::string closed(piece);
        return on_text(closed.c_str(), closed.size(), user) != 0;
      };
    }
    lithe::Answer result = given(model, "model").model.ask(given(question, "question").question, listener);
    if (answer != nullptr) *answer = new lithe_answer{std::move(result)};
  });
}

const char* lithe_answer_text(const lithe_answer* answer) {
  return answer == nullptr ? "" : answer->answer.text.c_str();
}
const char* lithe_answer_stop(const lithe_answer* answer) {
  return answer == nullptr ? "" : answer->answer.stop.c_str();
}

const int64_t* lithe_answer_tokens(const lithe_answer* answer, size_t* count) {
  if (count != nullptr) *count = answer == nullptr ? 0 : answer->answer.tokens.size();
  return answer == nullptr ? nullptr : answer->answer.tokens.data();
}

int64_t lithe_answer_prompt_rows(const lithe_answer* answer) {
  return number_of(answer, &lithe::Answer::prompt_rows);
}
int64_t lithe_answer_vision_rows(const lithe_answer* answer) {
  return number_of(answer, &lithe::Answer::vision_rows);
}
int64_t lithe_answer_cache_bytes(const lithe_answer* answer) {
  return number_of(answer, &lithe::Answer::cache_bytes);
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
