#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "golden/cases.h"
#include "image/image.h"
#include "models/model.h"
#include "session/session.h"

namespace lithe::golden {

/// One form of a case's checkpoint, opened, with what its samples give: traces and pictures, made when first asked for.
class SampleRun {
 public:
  SampleRun(const Case& golden, const CheckpointForm& form);

  const Case& golden() const { return golden_; }
  const models::Model& model() const { return session_.model(); }
  session::Session& session() { return session_; }
  const Json& sample(std::size_t i) const { return golden_.json.at("samples").at(i); }

  /// The picture files of sample i, and of the whole case in the order of "img0", "img1", ..
  std::vector<std::string> pictures_of(std::size_t i) const;
  const std::vector<std::string>& pictures() const { return pictures_; }
  std::filesystem::path path_of(const std::string& picture) const;

  /// A picture of the case as this model encodes it in a prompt with this many pictures.
  const models::ImageRows& encoded(const std::string& picture, std::size_t pictures = 1);
  session::Request request(std::size_t i);
  /// What `lithe trace` writes for sample i: greedy, past the end of the answer, as many tokens as the case has.
  const io::SafetensorsFile& trace(std::size_t i);
  /// The same checkpoint with other keys in its config.json.
  session::Session with_config(const Json& changes) { return open(changes); }

  /// The tensor of that name in the trace of sample i. Throws Error{bad_file} if it is missing.
  const io::TensorView& traced(std::size_t i, const std::string& name);

 private:
  session::Session open(const Json& changes);

  const Case& golden_;
  const CheckpointForm& form_;
  TempFolder temp_;
  session::Session session_;
  std::vector<std::string> pictures_;
  std::map<std::pair<std::string, std::size_t>, models::ImageRows> encoded_;
  std::map<std::size_t, io::SafetensorsFile> traces_;
};

/// Compares everything that the case says of single samples and pictures.
void check_samples(SampleRun& run, Check& check);

/// Runs the rows of "batch.*" as one packed batch and compares it.
void check_batch(SampleRun& run, Check& check);

/// The rows that a plan is about, what the published code calls the target mask: those of its first rule.
plan::Group routed_group(const plan::Plan& plan);

/// The values of a CPU tensor, copied as float32.
std::vector<float> values_of(const at::Tensor& tensor);

}  // namespace lithe::golden
