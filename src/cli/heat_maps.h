#pragma once

#include <string>
#include <vector>

#include "session/session.h"

namespace lithe::cli {

/// Throws Error{bad_request} when there will be nothing to draw: no picture, or a plan that keeps every vision token; or
/// when a map would be written over one of the pictures that it is made of.
void check_heat_map(const std::string& file, const std::vector<std::string>& pictures, const session::Request& request,
                    const session::Session& session);

/// Writes one PNG per picture of the answer: `file`, then "name-2.png" and so on. Returns their paths. Throws Error.
std::vector<std::string> write_heat_maps(const std::string& file, const session::Answer& answer,
                                         const image::HeatCaption& caption);

/// What stands above the maps of an answer. `question`: as it was asked.
image::HeatCaption caption_of(const session::Session& session, const session::Request& request, std::string question);

}  // namespace lithe::cli
