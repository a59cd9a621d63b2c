#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "image/source.h"

namespace lithe::data {

/// One message of a conversation.
struct Turn {
  std::string role;  ///< "system", "user" or "assistant".
  std::string text;  ///< "<image>" marks where each picture goes.
};

/// One sample of a data set: a conversation and its pictures, as many as there are marks.
struct Record {
  std::string name;  ///< For messages: the file, the record's number from 1, and its id if it has one.
  std::vector<Turn> turns;
  std::vector<image::Source> images;  ///< In the order of the marks.
  /// Per picture, the vision tokens that tell the answer, by their number in the picture from 0, if the set knows them
  /// ("needed"). Empty: it does not.
  std::vector<std::vector<int64_t>> needed = {};
};

}  // namespace lithe::data
