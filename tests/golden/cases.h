#pragma once

#include <filesystem>

#include "base/json.h"
#include "golden/check.h"
#include "golden/folders.h"
#include "io/safetensors.h"

namespace lithe::golden {

/// A case folder as it lies on disk.
struct Case {
  std::filesystem::path folder;
  Json json;                     ///< case.json
  io::SafetensorsFile expected;  ///< expected.safetensors
  Tolerances tolerances;
};

/// Prompts with pictures through a whole model ("samples" with a prompt_file each), one Check per form of the
/// checkpoint.
Check run_samples(const Case& golden, const CheckpointForm& form);

/// Decoders alone on given embeddings ("variants").
Check run_variants(const Case& golden);

/// LLaVA with EAS ("generation" and "samples" with question and answer): training, features, published evaluation,
/// generation.
Check run_llava_eas(const Case& golden);

/// METER and METER-EAS ("nlvr2_answers"): every head, losses, gradients, preprocessing, from each checkpoint file.
Check run_meter(const Case& golden);

/// LaVIN, with or without EAS ("generation" and "config" with "clip"): training, features, generation.
Check run_lavin(const Case& golden);

/// Training of a p-MoD model ("hyper_parameters"): label masks, loss, gradients, optimiser steps.
Check run_training(const Case& golden);

/// Searches for redundant attentions with stored draws ("settings" with "skipped"): scores and ranking, and the losses
/// of LLaVA and METER.
Check run_eas_search(const Case& golden);

/// PIA and RepAdapter alone ("formula", "settings" s0, s1, ..): values and gradients.
Check run_adapters(const Case& golden);

/// Adapters folded into the weights after them ("formula" with "kept" and "skipped"), in float64.
Check run_fold(const Case& golden);

/// Metrics of METER ("vqa_score", "retrieval").
Check run_meter_metrics(const Json& json);

/// Layer schedules of p-MoD ("schedules").
Check run_schedules(const Json& json);

/// Prompts and ids of conversation templates ("conversations"). `folder` holds the tokenizers that the file names.
Check run_conversations(const Json& json, const std::filesystem::path& folder);

/// ScienceQA's prompts, how answers are read, and scores ("problems" and "prompts").
Check run_scienceqa(const Json& json);

/// How SLAKE and AID are scored ("slake" and "aid").
Check run_slake_aid(const Json& json);

/// The recipes of recipes/eas beside the published settings ("LaVIN-EAS" and "LLaVA-EAS").
Check run_eas_recipes(const Json& json);

}  // namespace lithe::golden
