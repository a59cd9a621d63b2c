#include "tasks/plain_match.h"

#include <algorithm>

#include "text/words.h"

namespace lithe::tasks {
namespace {

bool is_punctuation(char c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

}  // namespace

std::string plain_form(std::string_view text) {
  std::string form = text::lower(text);
  form.erase(std::remove_if(form.begin(), form.end(), is_punctuation), form.end());
  return form;
}

bool plain_match(std::string_view answer, std::string_view target) {
  return plain_form(text::stripped(answer)) == plain_form(target);
}

}  // namespace lithe::tasks
