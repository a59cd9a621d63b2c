#pragma once

#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "api/guard.h"
#include "base/error.h"
#include "lithe/lithe.h"
#include "lithe/model.h"

/// What the handles of lithe.h are, and the boundary that no exception crosses.
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
struct lithe_cancel {
  std::stop_source source;
};
struct lithe_conversation {
  lithe::Conversation conversation;
};

namespace lithe::api {

/// Keeps the sentence for lithe_last_error() of this thread.
lithe_status report(Cause cause, const char* sentence) noexcept;

/// The boundary: no exception crosses it.
template <class Work>
lithe_status call(const Work& work) noexcept {
  try {
    guarded(work);
    return LITHE_OK;
  } catch (const Failure& failure) {
    return report(failure.cause(), failure.what());
  } catch (...) {
    return report(Cause::internal, "A failure could not be described, because memory is short.");
  }
}

template <class T>
T& given(T* pointer, const char* what) {
  require(pointer != nullptr, Fault::bad_request, "The argument '", what, "' is NULL; it has to be given.");
  return *pointer;
}

inline std::string text(const char* string, const char* what) {
  return &given(string, what);
}

/// The part that a program has filled of a struct whose first member is its size; the rest is as in `initial`. Every
/// member of such a struct takes eight bytes, and a member that the size cuts counts as absent.
template <class Options>
Options options_of(const Options* options, const Options& initial, const char* type) {
  constexpr size_t kMember = 8;
  static_assert(sizeof(Options) % kMember == 0 && alignof(Options) == kMember);
  Options filled = initial;
  if (options == nullptr) return filled;
  require(options->size >= sizeof options->size && options->size <= sizeof filled, Fault::bad_request, "The size of ",
          type, " is ", options->size, ", not ", sizeof filled,
          " or less; begin with its INIT, and link a library as new as the header.");
  std::memcpy(&filled, options, options->size / kMember * kMember);
  return filled;
}

/// A caller's struct as a listener. Valid as long as `listener` and what it points to.
Listener listener_of(const lithe_listener& listener);

}  // namespace lithe::api
