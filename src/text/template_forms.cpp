#include "text/template_forms.h"

#include <array>
#include <vector>

#include "base/lower_case.h"
#include "base/utf8.h"
#include "text/image_marks.h"

namespace lithe::text {
namespace {

// A list that is printed as such (repr, tojson) writes the line end as "\n", so the text is not found in it.
constexpr const char* kSystemText = "system\nprobe";
constexpr const char* kUserText = "user\nprobe";
constexpr const char* kOtherText = "other words";
constexpr const char* kAssistantText = "assistant\nprobe";

// The first that fits is taken. Parts are what transformers' processors hand over.
constexpr std::array kForms = {ContentForm::parts, ContentForm::one_part, ContentForm::marked_text,
                               ContentForm::bare_text};

Json text_part(const std::string& text) {
  return {{"type", "text"}, {"text", valid_utf8(text)}};
}

std::string bare_text(const Message& message) {
  std::string text;
  for (const Part& part : message.parts) text += part.text;
  return without_marks(text);
}

Message picture_message() {
  return user_message(kUserText, 1);
}

Json in_form(ContentForm form, const Message& message) {
  return {{"role", message.role}, {"content", content_in(form, message)}};
}

/// Renders messages after those that lead.
class Probe {
 public:
  Probe(const ProbeRender& render, Json lead) : render_(render), lead_(std::move(lead)) {}

  bool shows(const Json& messages, const char* text) const {
    const std::optional<std::string> rendered = render(messages);
    return rendered && rendered->find(text) != std::string::npos;
  }
  std::optional<std::string> rendered(ContentForm form, const char* text) const {
    return render(Json::array({in_form(form, text_message("user", text))}));
  }
  /// Whether the text makes a difference.
  bool reads_text(ContentForm form) const {
    const auto one = rendered(form, kUserText), other = rendered(form, kOtherText);
    return one && other && one != other;
  }
  bool shows_text(ContentForm form) const {
    return shows(Json::array({in_form(form, text_message("user", kUserText))}), kUserText);
  }
  bool shows_text_in_any_case(ContentForm form) const {
    const std::optional<std::string> text = rendered(form, kUserText);
    return text && in_lower_case(*text).find(kUserText) != std::string::npos;
  }
  bool shows_picture(ContentForm form) const {
    const std::optional<std::string> rendered = render(Json::array({in_form(form, picture_message())}));
    return rendered && rendered->find(kUserText) != std::string::npos && count_marks(*rendered) == 1;
  }

 private:
  std::optional<std::string> render(const Json& messages) const {
    Json all = lead_;
    all.insert(all.end(), messages.begin(), messages.end());
    return render_(all);
  }

  const ProbeRender& render_;
  Json lead_;
};

/// The first form in which texts and pictures come out, else the first in which texts do.
std::optional<ContentForm> form_of_user(const Probe& probe) {
  std::optional<ContentForm> texts_only;
  for (const ContentForm form : kForms) {
    if (!probe.shows_text(form)) continue;
    if (probe.shows_picture(form)) return form;
    if (!texts_only) texts_only = form;
  }
  return texts_only;
}

/// Of a role without pictures; the user's own form is tried first.
ContentForm form_of_role(ContentForm usual, const std::function<bool(ContentForm)>& shows) {
  if (shows(usual)) return usual;
  for (const ContentForm form : {ContentForm::parts, ContentForm::marked_text}) {
    if (form != usual && shows(form)) return form;
  }
  return usual;
}

}  // namespace

ContentForm ContentForms::of(std::string_view role) const {
  if (role == "system") return system;
  return role == "assistant" ? assistant : user;
}

Json content_in(ContentForm form, const Message& message) {
  if (form == ContentForm::marked_text) return valid_utf8(flatten(message));
  if (form == ContentForm::bare_text) return valid_utf8(bare_text(message));
  if (form == ContentForm::one_part) return Json::array({text_part(flatten(message))});
  Json parts = Json::array();
  for (const Part& part : message.parts) {
    parts.push_back(part.kind == Part::Kind::image ? Json{{"type", "image"}} : text_part(part.text));
  }
  return parts;
}

ContentForms find_forms(const ProbeRender& render) {
  const Probe alone(render, Json::array());
  std::optional<ContentForm> user = form_of_user(alone);
  // Some templates want a system message in front.
  for (const ContentForm system : {ContentForm::parts, ContentForm::marked_text}) {
    if (!user) user = form_of_user(Probe(render, Json::array({in_form(system, text_message("system", kSystemText))})));
  }
  // Or change the text ("upper").
  for (const ContentForm form : kForms) {
    if (!user && alone.shows_text_in_any_case(form)) user = form;
  }
  for (const ContentForm form : kForms) {
    if (!user && alone.reads_text(form)) user = form;
  }
  const bool drops_text = !user && alone.rendered(ContentForm::marked_text, kUserText).has_value();
  if (drops_text) user = ContentForm::marked_text;
  const ContentForm form = user.value_or(ContentForm::parts);
  const Json question = in_form(form, text_message("user", kUserText));
  ContentForms forms{.system = form, .user = form, .assistant = form, .drops_text = drops_text};
  if (!user) return forms;
  forms.system = form_of_role(form, [&](ContentForm tried) {
    return alone.shows(Json::array({in_form(tried, text_message("system", kSystemText)), question}), kSystemText);
  });
  forms.assistant = form_of_role(form, [&](ContentForm tried) {
    const Json answer = in_form(tried, text_message("assistant", kAssistantText));
    return alone.shows(Json::array({question, answer, question}), kAssistantText);
  });
  return forms;
}

}  // namespace lithe::text
