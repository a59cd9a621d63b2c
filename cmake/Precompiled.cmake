# Precompiled headers. Most of the time to compile a file goes into reading LibTorch's and the standard library's headers,
# so each kind of target reads them once. LITHE_PCH=OFF (the preset dev) finds files that forget an include.
option(LITHE_PCH "Precompile the headers that most files read" ON)

set(standard_headers <algorithm> <array> <cmath> <cstdint> <filesystem> <functional> <map> <memory> <optional> <set> <span>
  <sstream> <string> <string_view> <utility> <vector> <nlohmann/json.hpp>)
# ATen/Context.h is what makes each header of ATen/ops slow.
set(aten_headers <ATen/Context.h> <ATen/TensorOperators.h> <ATen/core/Tensor.h>)
set(test_headers <fstream> <gtest/gtest.h>)

# Declares lithe_pch_KIND, whose headers the targets of this kind share.
function(lithe_precompiled_headers kind)
  cmake_parse_arguments(ARG "" "" "HEADERS;LIBS" ${ARGN})
  add_library(lithe_pch_${kind} OBJECT "${CMAKE_BINARY_DIR}/empty.cpp")
  target_link_libraries(lithe_pch_${kind} PRIVATE nlohmann_json::nlohmann_json ${ARG_LIBS})
  target_precompile_headers(lithe_pch_${kind} PRIVATE ${ARG_HEADERS})
  lithe_warnings(lithe_pch_${kind})
  # GCC refuses a precompiled header for a file with other flags: programs are compiled with -fPIE.
  if(NOT kind MATCHES "_library$")
    set_target_properties(lithe_pch_${kind} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(lithe_pch_${kind} PRIVATE -fPIE)
  endif()
endfunction()

# lithe_precompile(TARGET library|program|test): the headers of the kind, with ATen's if TARGET sees LibTorch.
function(lithe_precompile target kind)
  if(NOT LITHE_PCH)
    return()
  endif()
  lithe_sees_aten(${target} sees_aten)
  if(sees_aten)
    target_precompile_headers(${target} REUSE_FROM lithe_pch_aten_${kind})
  else()
    target_precompile_headers(${target} REUSE_FROM lithe_pch_plain_${kind})
  endif()
endfunction()

# lithe_sees_aten(TARGET RESULT): whether what TARGET links, directly or not, has LibTorch's headers.
function(lithe_sees_aten target result)
  set(sees FALSE)
  get_target_property(libs ${target} LINK_LIBRARIES)
  foreach(lib ${libs})
    if(lib STREQUAL lithe_torch)
      set(sees TRUE)
    elseif(NOT sees AND lib MATCHES "^lithe_" AND TARGET ${lib})
      lithe_sees_aten(${lib} sees)
    endif()
  endforeach()
  set(${result} ${sees} PARENT_SCOPE)
endfunction()

file(WRITE "${CMAKE_BINARY_DIR}/empty.cpp" "")
if(LITHE_PCH)
  lithe_precompiled_headers(plain_library HEADERS ${standard_headers})
  lithe_precompiled_headers(aten_library HEADERS ${aten_headers} ${standard_headers} LIBS lithe_torch)
  if(LITHE_TESTS)
    lithe_precompiled_headers(aten_program HEADERS ${aten_headers} ${standard_headers} LIBS lithe_torch)
    lithe_precompiled_headers(plain_test HEADERS ${standard_headers} ${test_headers} LIBS GTest::gtest)
    lithe_precompiled_headers(aten_test HEADERS ${aten_headers} ${standard_headers} ${test_headers} LIBS lithe_torch GTest::gtest)
  endif()
endif()
