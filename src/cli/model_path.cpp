#include "cli/model_path.h"

#include <cstdlib>
#include <system_error>

#include "base/error.h"

namespace lithe::cli {
namespace {

namespace fs = std::filesystem;

bool holds_models(const fs::path& folder) {
  std::error_code ignored;
  return fs::is_directory(folder / "easyvqa-pmod", ignored);
}

}  // namespace

fs::path demo_folder() {
  if (const char* const named = std::getenv("LITHE_MODELS")) {
    require(holds_models(named), Fault::bad_file, "LITHE_MODELS names '", named,
            "', which does not hold the demo models; point it at Lithe's models folder.");
    return named;
  }
  std::error_code ignored;
  const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
  const fs::path installed = program.parent_path().parent_path() / "share" / "lithe" / "models";
  if (holds_models(installed)) return installed;
  const fs::path source = LITHE_MODELS_DIR;
  require(holds_models(source), Fault::bad_file, "The demo models are neither in ", installed.string(), " nor in ",
          source.string(), "; set LITHE_MODELS to the folder that holds them.");
  return source;
}

fs::path model_folder(const std::string& model) {
  if (model == "demo") return demo_folder() / "easyvqa-pmod";
  if (model == "demo-dense") return demo_folder() / "easyvqa-dense";
  std::error_code ignored;
  require(fs::is_directory(model, ignored), Fault::bad_file, "There is no model folder '", model,
          "'; give a folder with config.json and weights, or the name demo or demo-dense.");
  fs::path folder = fs::path(model).lexically_normal();
  return folder.has_filename() ? folder : folder.parent_path();
}

}  // namespace lithe::cli
