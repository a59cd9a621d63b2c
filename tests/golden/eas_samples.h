#pragma once

#include <string>
#include <vector>

#include "golden/tensors.h"
#include "models/model.h"
#include "tune/packing.h"

namespace lithe::golden {

/// Samples of a LLaVA-EAS case as rows of the decoder.
struct EasSamples {
  std::vector<at::Tensor> rows;              ///< [rows, hidden] of each
  std::vector<std::vector<int64_t>> labels;  ///< Of each row; text::kIgnored: it does not count.
  std::vector<int64_t> real;                 ///< How many rows of each are not padding. They come first.
};

/// PREFIX + "input_ids", "labels", "images" and perhaps "attention_mask", without padding. The projector's rows stand
/// at the mark of a picture.
EasSamples spliced(const models::Model& model, const TensorFile& inputs, const std::string& prefix = {});

/// The same with rows of zeros after each sample, up to `columns`.
EasSamples padded(EasSamples samples, int64_t columns);

/// Whose rows gates and token means are taken over: those before the first label, or, as the published evaluation does,
/// all, with answer and padding.
enum class Means { prompt, all_rows };

/// Every sample in one packed batch. The plan must outlive it.
tune::TrainingRows rows_of(const EasSamples& samples, const plan::Plan& plan, Means means);

/// The mean cross entropy of the labels that count.
at::Tensor mean_loss(const models::Model& model, const tune::TrainingRows& rows,
                     const routing::Observer& observer = {});

}  // namespace lithe::golden
