#include "cli/heat_maps.h"

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "image/png.h"
#include "io/output_file.h"

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

std::vector<std::string> heat_map_files(const std::string& file, std::size_t pictures) {
  const std::filesystem::path path(file);
  std::vector<std::string> files;
  for (std::size_t i = 0; i < pictures; ++i) {
    std::filesystem::path target = path;
    if (i > 0) target.replace_filename(concat(path.stem().string(), "-", i + 1, path.extension().string()));
    files.push_back(target.string());
  }
  return files;
}

std::vector<std::string> write_heat_maps(const std::string& file, const session::Answer& answer) {
  std::vector<std::string> files = heat_map_files(file, answer.kept.size());
  for (std::size_t i = 0; i < files.size(); ++i) {
    io::OutputFile picture(files[i]);
    picture.write(image::encode_png(image::heat_map(answer.kept[i].views, answer.kept[i].layers)));
    picture.commit();
  }
  return files;
}

}  // namespace lithe::cli
