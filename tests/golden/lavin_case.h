#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "golden/cases.h"
#include "golden/tensors.h"
#include "models/model.h"
#include "tune/packing.h"

namespace lithe::golden {

/// A folder of links to the parts of a LaVIN case, in one of the forms in which they are published.
class LavinFolderOfCase {
 public:
  enum class Form { torch, safetensors };
  /// `adapter`: the folder with the adapter. `base`: the folder that holds llama/ and clip/. `own`: keys of
  /// config.json.
  LavinFolderOfCase(const std::filesystem::path& base, const std::filesystem::path& adapter, const Json& config,
                    Form form, const Json& own = Json::object());
  const std::filesystem::path& path() const { return temp_.path(); }

 private:
  TempFolder temp_;
};

/// The folder of a case, or of the case beside it, that holds llama/ and clip/.
std::filesystem::path lavin_base(const std::filesystem::path& case_folder);

/// Samples of a LaVIN case as the published training lays them out: token ids with padding, labels (0: not learnt), and
/// whether there is a picture.
struct LavinBatch {
  std::vector<std::vector<int64_t>> ids;     ///< kImageId at the picture.
  std::vector<std::vector<int64_t>> labels;  ///< Of each id.
  std::vector<int64_t> indicators;
  at::Tensor pixels;  ///< [samples, 3, side, side]
  int64_t columns = 0;
};

/// Of `prefix` + "ids" or "examples", "labels", "indicators", "images": the samples with these numbers.
LavinBatch lavin_batch(const TensorFile& inputs, const std::string& prefix, const std::vector<int64_t>& samples);

/// Class tokens as published: without EAS, each row's gate in the tower is that of the same row of sample 0.
at::Tensor published_class_tokens(const models::VisionTower& tower, const at::Tensor& pixels);

/// Rows of a batch, padded and cut as published; gates and means are taken over all of them. The plan must outlive
/// them.
tune::TrainingRows published_rows(const models::Model& model, const LavinBatch& batch, const at::Tensor& class_tokens,
                                  const plan::Plan& plan);

/// "train.*" and "train1.*" of a LaVIN case: features, rows, hidden states, logits, loss, gradients.
void check_lavin_training(const Case& golden, Check& check);

/// A share of the largest number in magnitude.
Tolerance of_largest(const io::TensorView& expected, double share);

}  // namespace lithe::golden
