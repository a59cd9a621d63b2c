#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/json.h"

namespace lithe::serve {

/// A request that gets an error in place of an answer, as clients of OpenAI's API read it.
class Refusal : public std::runtime_error {
 public:
  /// `param`: the field of the body that is to blame; `code`: a word for programs. Empty: null in the JSON. The type of
  /// the error follows from the status.
  Refusal(int status, const std::string& sentence, std::string param = {}, std::string code = {});

  /// The same with header lines for the reply, each with its line end.
  Refusal with(std::string header) && {
    header_ = std::move(header);
    return std::move(*this);
  }

  int status() const { return status_; }
  const std::string& header() const { return header_; }
  /// {"error": {"message", "type", "param", "code"}}
  Json json() const;

 private:
  int status_;
  std::string param_, code_, header_;
};

/// Throws Refusal of status 400 about this field; the error itself if memory was short, which no field is to blame for.
[[noreturn]] void blame_field(const Error& error, const std::string& field);

/// Throws Refusal of status 400 about this field unless `holds`.
void require_field(bool holds, const std::string& field, const std::string& sentence);

}  // namespace lithe::serve
