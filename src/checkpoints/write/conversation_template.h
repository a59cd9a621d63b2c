#pragma once

#include <optional>
#include <string>

namespace lithe::models {

/// A Jinja chat template that writes what text::render_conversation writes for this conversation, for programs that
/// know templates only. Content may be a text or a list of parts. Absent for conversations that show the picture in a
/// turn of its own ("mmtag"). Throws Error{bad_request} for an unknown name.
std::optional<std::string> template_of_conversation(const std::string& name);

}  // namespace lithe::models
