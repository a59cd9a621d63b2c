#pragma once

#include <filesystem>
#include <vector>

#include "tasks/task.h"

namespace lithe::tasks {

/// How often an answer must be the most frequent one of a question to be a class of METER's head for VQAv2.
constexpr int64_t kLeastQuestions = 9;

/// The answers that METER's head for VQAv2 tells apart, as they are told by
///   a label map       a JSON file: a list, {"0": "yes", ..}, {"yes": 0, ..}, or one of these below id2label,
///   label2ans,
///                     id2ans, label2id or ans2label
///   METER's Arrow     a file, or the files vqav2_*.arrow of a folder: the numbers of the answers that they hold
///   the official set  a folder with annotations of train and val: the answers that are the most frequent one of at
///                     least 9 questions, in the order in which they occur first, as METER's public code counts them.
///                     The Parquet files of the hub are counted in the same way.
/// Reads everything. Empty if nothing is told. Throws Error{bad_file}.
HeadLabels vqa_labels(const std::filesystem::path& path);

}  // namespace lithe::tasks
