#include "cli/heat_maps.h"

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/printable.h"
#include "image/png.h"
#include "io/output_file.h"
#include "plan/rows.h"

namespace lithe::cli {
namespace {

namespace fs = std::filesystem;

/// Whether a layer leaves out some of any number of vision tokens.
bool drops_vision(const plan::LayerPlan& layer) {
  using plan::RowKind;
  constexpr int64_t kMany = int64_t{1} << 20;
  const auto drops = [&](RowKind kind) {
    const plan::Rule* const rule = plan::governing_rule(layer, kind);
    return rule && !rule->others.feed_forward && plan::kept_rows(*rule, kMany) < kMany;
  };
  return layer.stream == "decoder" && (drops(RowKind::vision) || drops(RowKind::vision_high_res));
}

bool drops_vision(const plan::Plan& plan) {
  return std::any_of(plan.layers.begin(), plan.layers.end(), [](const auto& layer) { return drops_vision(layer); });
}

const plan::Plan& plan_of(const session::Request& request, const session::Session& session) {
  return request.plan ? *request.plan : session.plan();
}

}  // namespace

void check_heat_map(const session::Request& request, const session::Session& session) {
  require(!request.images.empty(), Fault::bad_request, "--heat-map needs a picture; give one with --image.");
  const plan::Plan& plan = plan_of(request, session);
  require(drops_vision(plan), Fault::bad_request, "--heat-map has nothing to show, as the plan ", in_quotes(plan.name),
          " leaves no vision token out of a feed-forward network; choose another with --plan.");
}

std::vector<std::string> heat_map_files(const std::string& file, std::size_t pictures) {
  const fs::path path(file);
  std::vector<std::string> files;
  for (std::size_t i = 0; i < pictures; ++i) {
    fs::path target = path;
    if (i > 0) target.replace_filename(concat(path.stem().string(), "-", i + 1, path.extension().string()));
    files.push_back(target.string());
  }
  return files;
}

std::vector<std::string> write_heat_maps(const std::string& file, const session::Answer& answer,
                                         const image::HeatCaption& caption) {
  std::vector<std::string> files = heat_map_files(file, answer.kept.size());
  for (std::size_t i = 0; i < files.size(); ++i) {
    io::OutputFile picture(files[i]);
    picture.write(image::encode_png(image::heat_map(answer.kept[i].views, answer.kept[i].layers, caption)));
    picture.commit();
  }
  return files;
}

image::HeatCaption caption_of(const session::Session& session, const session::Request& request, std::string question) {
  return {.model = session.facts().name,
          .plan = plan_of(request, session).name,
          .question = std::move(question),
          .layers = session.facts().layers};
}

}  // namespace lithe::cli
