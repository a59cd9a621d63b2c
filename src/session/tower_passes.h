#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <vector>

#include "models/model.h"
#include "session/prompt_rows.h"
#include "session/watch.h"

namespace lithe::session {

/// The pictures of one request on their way to rows.
struct PicturesInTower {
  const plan::Plan* plan = nullptr;
  Watch watch;
  PromptLength length;
  int64_t pictures = 0;                 ///< Of the request.
  int64_t added = 0;                    ///< To the passes, so far.
  std::vector<models::ImageRows> rows;  ///< Of those that are through: rows, kinds and heat views only.
  std::exception_ptr failure;           ///< What ended it: an Error, Cancelled. The others go on.
};

/// Runs the vision tower over pictures of several requests at once, each under its own plan. A picture gives the same
/// rows as alone, up to rounding.
class TowerPasses {
 public:
  /// A pass holds at most `most_tiles` tiles, or one picture of more.
  TowerPasses(const models::Model& model, int64_t most_tiles) : model_(model), most_tiles_(most_tiles) {}

  /// Takes the next picture of a request, which outlives this. Runs those before it if they fill a pass.
  void add(PicturesInTower& request, models::PreparedImage picture);
  /// Runs what was added since.
  void run();

 private:
  struct Picture {
    PicturesInTower* request;
    int64_t item;
    std::shared_ptr<const models::PreparedImage> image;
  };
  void run(std::vector<Picture> pictures);
  void pass(const std::vector<Picture>& pictures) const;

  const models::Model& model_;
  const int64_t most_tiles_;
  std::vector<Picture> pictures_;
  int64_t tiles_ = 0;
};

}  // namespace lithe::session
