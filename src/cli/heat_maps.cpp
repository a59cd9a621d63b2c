#include "cli/heat_maps.h"

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "image/png.h"
#include "io/atomic_file.h"

namespace lithe::cli {
namespace {

bool chooses_vision_rows(const plan::Plan& plan) {
  return std::any_of(plan.layers.begin(), plan.layers.end(), [](const plan::LayerPlan& layer) {
    return layer.stream == "decoder" && std::any_of(layer.rules.begin(), layer.rules.end(), [](const plan::Rule& rule) {
             return rule.group == plan::Group::vision || rule.group == plan::Group::vision_high_res ||
                    rule.group == plan::Group::all;
           });
  });
}

}  // namespace

void check_heat_map(const session::Request& request, const session::Session& session) {
  require(!request.images.empty(), Fault::bad_request, "--heat-map needs a picture; give one with --image.");
  const plan::Plan& plan = request.plan ? *request.plan : session.plan();
  require(chooses_vision_rows(plan), Fault::bad_request, "--heat-map has nothing to show, as the plan '", plan.name,
          "' keeps every vision row; choose another with --plan.");
}

std::vector<std::string> write_heat_maps(const std::string& file, const session::Answer& answer) {
  const std::filesystem::path path(file);
  std::vector<std::string> written;
  for (std::size_t i = 0; i < answer.kept.size(); ++i) {
    std::filesystem::path target = path;
    if (i > 0) target.replace_filename(concat(path.stem().string(), "-", i + 1, path.extension().string()));
    io::AtomicFile picture(target);
    picture.write(image::encode_png(image::heat_map(answer.kept[i].views, answer.kept[i].layers)));
    picture.commit();
    written.push_back(target.string());
  }
  return written;
}

}  // namespace lithe::cli
