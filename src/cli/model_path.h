#pragma once

#include "checkpoints/read/model_folder.h"

namespace lithe::cli {

using models::demo_folder;
using models::model_folder;

}  // namespace lithe::cli
