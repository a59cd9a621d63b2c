#include "serve/refusal.h"

#include <utility>

#include "base/printable.h"

namespace lithe::serve {
namespace {

const char* type_of(int status) {
  if (status >= 500) return "server_error";
  return status == 401 ? "authentication_error" : "invalid_request_error";
}

Json text_or_null(const std::string& text) {
  return text.empty() ? Json() : Json(printable(text));
}

}  // namespace

Refusal::Refusal(int status, const std::string& sentence, std::string param, std::string code)
    : std::runtime_error(printable(sentence, kMostSentenceBytes)),
      status_(status),
      param_(std::move(param)),
      code_(std::move(code)) {}

Json Refusal::json() const {
  Json error;
  error["message"] = what();
  error["type"] = type_of(status_);
  error["param"] = text_or_null(param_);
  error["code"] = text_or_null(code_);
  return {{"error", std::move(error)}};
}

void blame_field(const Error& error, const std::string& field) {
  if (error.fault() == Fault::no_memory) throw error;
  throw Refusal(400, error.what(), field);
}

void require_field(bool holds, const std::string& field, const std::string& sentence) {
  if (!holds) throw Refusal(400, sentence, field);
}

}  // namespace lithe::serve
