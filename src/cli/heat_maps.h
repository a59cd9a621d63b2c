#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "session/session.h"

namespace lithe::cli {

/// Throws Error{bad_request} when there will be nothing to draw: no picture, or a plan under which every vision
/// token runs each feed-forward network.
void check_heat_map(const session::Request& request, const session::Session& session);

/// The files for the heat maps of so many pictures: `file`, then "name-2.png" and so on.
std::vector<std::string> heat_map_files(const std::string& file, std::size_t pictures);

/// Writes one PNG per picture of the answer, into heat_map_files. Returns their paths. Throws Error.
std::vector<std::string> write_heat_maps(const std::string& file, const session::Answer& answer,
                                         const image::HeatCaption& caption);

/// What stands above the maps of an answer. `question`: as it was asked.
image::HeatCaption caption_of(const session::Session& session, const session::Request& request, std::string question);

}  // namespace lithe::cli
