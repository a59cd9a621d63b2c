#include "tune/measured_file.h"

#include "base/error.h"
#include "base/printable.h"
#include "plan/parse.h"

namespace lithe::tune {
namespace {

constexpr std::size_t kMostLineBytes = std::size_t{4} << 20;

std::string key_of(const plan::Plan& plan) {
  return plan::to_json(plan).at("layers").dump();
}

}  // namespace

MeasuredFile::MeasuredFile(const std::filesystem::path& path, const Json& settings) : lines_(path) {
  const auto refuse = [&] {
    fail(Fault::bad_file, in_quotes(path.string()), " is not what a search measured; give another --output.");
  };
  bool begun = false;
  const auto take = [&](const io::AppendedLines::Line& line) {
    const Json json = Json::accept(line.text) ? parse_json(line.text, path.string()) : Json();
    if (!json.is_object()) refuse();
    if (!begun) {
      if (!json.contains("settings")) refuse();
      require(json.at("settings") == settings, Fault::bad_request, "The folder ",
              in_quotes(path.parent_path().string()),
              " holds a search with another model, data, plan, seed or number of samples; give another --output.");
      begun = true;
      return;
    }
    if (!json.contains("layers") || !json.contains("nll") || !json.at("nll").is_number()) refuse();
    nll_[json.at("layers").dump()] = json.at("nll").get<double>();
  };
  // A line that a kill cut off is measured again.
  lines_.read(kMostLineBytes, "what a search measured", take,
              [&](const io::AppendedLines::Line& line) { lines_.shorten(line.begin); });
  if (!begun) lines_.append(json_text(Json{{"settings", settings}}) + "\n");
}

std::optional<double> MeasuredFile::find(const plan::Plan& plan) const {
  const auto found = nll_.find(key_of(plan));
  return found == nll_.end() ? std::nullopt : std::optional(found->second);
}

void MeasuredFile::add(const plan::Plan& plan, double nll) {
  lines_.append(Json{{"nll", nll}, {"layers", plan::to_json(plan).at("layers")}}.dump() + "\n");
  nll_[key_of(plan)] = nll;
}

}  // namespace lithe::tune
