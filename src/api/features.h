#pragma once

#include "image/image.h"
#include "lithe/model.h"

namespace lithe::models {
struct Model;
}

namespace lithe::api {

/// Tower, projector and packing over one picture. Throws Error{bad_request} if the model has no tower.
PictureFeatures features_of(const models::Model& model, const image::Image& picture);

}  // namespace lithe::api
