#pragma once

// The two headers of CLI11 that a command needs, without its one-file form.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
