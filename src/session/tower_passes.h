#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/model.h"
#include "session/picture_cache.h"
#include "session/picture_workers.h"
#include "session/prompt_rows.h"
#include "session/watch.h"

namespace lithe::session {

/// The pictures of one request on their way to rows.
struct PicturesInTower {
  const plan::Plan* plan = nullptr;
  std::string salt;                        ///< Request::cache_salt
  const models::LoraOver* lora = nullptr;  ///< Request::lora
  Watch watch;
  PromptLength length;
  int64_t pictures = 0;                         ///< Of the request.
  int64_t added = 0;                            ///< To the passes, so far.
  std::vector<std::optional<Digest>> contents;  ///< Of those that were added.
  std::vector<models::ImageRows> rows;          ///< [pictures] of those that are through: rows, kinds, heat views only.
  std::exception_ptr failure;                   ///< What ended it: an Error, Cancelled. The others go on.
};

/// Runs the vision tower over pictures of several requests at once, each under its own plan. A picture gives the same
/// rows as alone, up to rounding. Pictures that are in the cache, or that wait for the same pass, are not run again.
class TowerPasses {
 public:
  /// How many pictures were added whose contents are known, and how many of them did not have to run.
  struct Count {
    int64_t asked = 0, found = 0;
  };

  /// A pass holds at most `most_tiles` tiles, or one picture of more. The cache outlives this.
  TowerPasses(const models::Model& model, int64_t most_tiles, PictureCache& cache)
      : model_(model), most_tiles_(most_tiles), cache_(cache) {}

  /// Takes the next picture of a request, which outlives this. Runs those before it if they fill a pass.
  void add(PicturesInTower& request, std::shared_ptr<const PreparedPicture> picture);
  /// Runs what was added since.
  void run();
  const Count& count() const { return count_; }

 private:
  struct Taker {
    PicturesInTower* request;
    int64_t item;
  };
  struct Picture {
    std::vector<Taker> takers;  // at least one; their plans do the same to the picture
    std::shared_ptr<const models::PreparedImage> image;
    std::optional<PictureKey> key;
  };
  bool take_known(const Taker& taker, const PictureKey& key);
  void run(std::vector<Picture> pictures);
  void pass(const std::vector<Picture>& pictures);
  static void give(const models::PackedRows& rows, const Taker& taker);
  static bool wanted(const Picture& picture);

  const models::Model& model_;
  const int64_t most_tiles_;
  PictureCache& cache_;
  std::vector<Picture> pictures_;
  int64_t tiles_ = 0;
  Count count_;
};

}  // namespace lithe::session
