#include "cli/outputs.h"

#include "cli/model_path.h"
#include "cli/question.h"
#include "io/output_file.h"

namespace lithe::cli {

std::vector<std::filesystem::path> inputs_of(const std::string& model, const CommonOptions& common,
                                             const session::Question& question) {
  std::vector<std::filesystem::path> inputs{model_folder(model)};
  if (!common.lora.empty()) inputs.emplace_back(common.lora);
  for (const std::string& file : files_of(question)) inputs.emplace_back(file);
  if (question.plan) inputs.emplace_back(*question.plan);
  return inputs;
}

void check_outputs(const std::vector<std::string>& files, const std::vector<std::filesystem::path>& inputs) {
  for (const std::string& file : files) io::check_output(file, inputs);
}

}  // namespace lithe::cli
