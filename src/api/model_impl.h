#pragma once

#include <memory>
#include <string>

#include "lithe/model.h"
#include "session/session.h"

namespace lithe {

struct Model::Impl {
  session::Session session;
  std::string name;
};

namespace api {

/// A model that was moved away has no Impl.
template <class Pointer>
auto& held(const Pointer& impl, const char* what) {
  if (!impl) {
    throw Failure(Cause::bad_request,
                  std::string("This ") + what + " was moved away; use the one that it was moved to.");
  }
  return *impl;
}

}  // namespace api
}  // namespace lithe
