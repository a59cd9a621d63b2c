#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "image/source.h"
#include "plan/facts.h"
#include "plan/meter_cost.h"
#include "plan/plan.h"
#include "session/session.h"

namespace lithe::models {
struct Meter;
}

namespace lithe::session {

/// A text and its pictures, as a head is asked about them.
struct PairQuestion {
  std::string text;
  std::vector<image::Source> images;
};

/// What a head tells apart.
struct HeadInfo {
  std::string name;                 ///< vqa, nlvr2, snli, itm or rank.
  int64_t pictures = 1;             ///< Of a question; 0: any number, and each gets a score (rank).
  std::vector<std::string> labels;  ///< By class; of rank one, which is not a class.
  bool numbered = false;            ///< The checkpoint has no names for its labels.
};

/// A loaded model that classifies or ranks pairs of a text and a picture (METER). One thread owns it.
class PairSession {
 public:
  /// Whether a folder or file is such a model.
  static bool opens(const std::filesystem::path& path);
  /// Throws Error{bad_file}.
  static PairSession open(const std::filesystem::path& path, const OpenOptions& options = {});
  explicit PairSession(std::unique_ptr<models::Meter> meter);
  PairSession(PairSession&&) noexcept;
  PairSession& operator=(PairSession&&) noexcept;
  ~PairSession();

  /// The heads that the checkpoint has.
  const std::vector<HeadInfo>& heads() const { return heads_; }
  /// The head of this name; without a name the first. Throws Error{bad_request}.
  const HeadInfo& head(const std::string& name) const;

  /// Of each question, a number for every class: the probability of VQA's answers each by itself, of other classes
  /// together. They may differ in length: no padding is computed. Throws Error{bad_request}, also for a question with
  /// too many or too few pictures, and Error{bad_file} for numbers that are not finite.
  std::vector<std::vector<float>> scores(const HeadInfo& head, std::span<const PairQuestion> questions,
                                         const plan::Plan* plan = nullptr) const;

  /// How well every text fits every picture, of all sizes: features of texts and pictures are computed once, pairs run
  /// in batches that fit memory. `done` is called after each picture. -> [pictures, texts], row by row
  std::vector<float> ranking(std::span<const std::string> texts, std::span<const image::Source> images,
                             const plan::Plan* plan = nullptr,
                             const std::function<void(int64_t pictures)>& done = {}) const;

  const plan::ModelFacts& facts() const;
  const plan::Plan& plan() const;
  const std::vector<std::string>& notes() const;
  int64_t weight_bytes() const;
  plan::MeterShape shape() const;  ///< For counting.

  const models::Meter& meter() const { return *meter_; }

 private:
  std::unique_ptr<models::Meter> meter_;
  std::vector<HeadInfo> heads_;
};

}  // namespace lithe::session
