#include "cli/heat_maps.h"

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/printable.h"
#include "image/png.h"
#include "io/atomic_file.h"

namespace lithe::cli {
namespace {

namespace fs = std::filesystem;

/// Whether a rule leaves out some of any number of vision tokens.
bool drops_vision(const plan::Rule& rule) {
  const bool governs_vision =
      rule.group == plan::Group::vision || rule.group == plan::Group::vision_high_res || rule.group == plan::Group::all;
  constexpr int64_t kMany = int64_t{1} << 20;
  return governs_vision && !rule.others.feed_forward && plan::kept_rows(rule, kMany) < kMany;
}

bool drops_vision(const plan::Plan& plan) {
  return std::any_of(plan.layers.begin(), plan.layers.end(), [](const plan::LayerPlan& layer) {
    return layer.stream == "decoder" && std::any_of(layer.rules.begin(), layer.rules.end(),
                                                    [](const plan::Rule& rule) { return drops_vision(rule); });
  });
}

const plan::Plan& plan_of(const session::Request& request, const session::Session& session) {
  return request.plan ? *request.plan : session.plan();
}

/// The file of picture `index`, from 0.
fs::path numbered(const fs::path& file, std::size_t index) {
  if (index == 0) return file;
  fs::path target = file;
  return target.replace_filename(concat(file.stem().string(), "-", index + 1, file.extension().string()));
}

}  // namespace

void check_heat_map(const std::string& file, const std::vector<std::string>& pictures, const session::Request& request,
                    const session::Session& session) {
  require(!file.empty(), Fault::bad_request, "--heat-map has no file name; give one that ends in .png.");
  require(!request.images.empty(), Fault::bad_request, "--heat-map needs a picture; give one with --image.");
  const plan::Plan& plan = plan_of(request, session);
  require(drops_vision(plan), Fault::bad_request, "--heat-map has nothing to show, as the plan ", quoted(plan.name),
          " keeps every vision token; choose another with --plan.");
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    const fs::path target = numbered(file, i);
    for (const std::string& picture : pictures) {
      std::error_code code;
      require(!fs::equivalent(target, picture, code), Fault::bad_request, "--heat-map would overwrite the picture ",
              quoted(picture), "; give another file name.");
    }
  }
}

std::vector<std::string> write_heat_maps(const std::string& file, const session::Answer& answer,
                                         const image::HeatCaption& caption) {
  std::vector<std::string> written;
  for (std::size_t i = 0; i < answer.kept.size(); ++i) {
    const fs::path target = numbered(file, i);
    io::AtomicFile picture(target);
    picture.write(image::encode_png(image::heat_map(answer.kept[i].views, answer.kept[i].layers, caption)));
    picture.commit();
    written.push_back(target.string());
  }
  return written;
}

image::HeatCaption caption_of(const session::Session& session, const session::Request& request, std::string question) {
  return {.model = session.facts().name,
          .plan = plan_of(request, session).name,
          .question = std::move(question),
          .layers = session.facts().layers};
}

}  // namespace lithe::cli
