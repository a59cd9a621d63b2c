# lithe_module(FOLDER [ATEN] [DEPS folder...] [LIBS target...]): one static library per folder of src/, lithe_FOLDER with
# "_" for "/".
# ATEN: the folder sees LibTorch. DEPS: the folders that it may include (checked by tools/check_includes.py).
function(lithe_module folder)
  cmake_parse_arguments(ARG "ATEN" "" "DEPS;LIBS" ${ARGN})
  string(REPLACE "/" "_" name "${folder}")
  string(REPLACE "/" "_" ARG_DEPS "${ARG_DEPS}")
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cpp")
  list(REMOVE_ITEM sources "${CMAKE_CURRENT_SOURCE_DIR}/main.cpp")  # a program's, not the library's
  if(NOT sources)
    set(sources "${CMAKE_BINARY_DIR}/empty.cpp")
  endif()
  add_library(lithe_${name} STATIC ${sources})
  target_include_directories(lithe_${name} PUBLIC "${CMAKE_SOURCE_DIR}/src" "${CMAKE_SOURCE_DIR}/include")
  list(TRANSFORM ARG_DEPS PREPEND lithe_)
  target_link_libraries(lithe_${name} PUBLIC ${ARG_DEPS} ${ARG_LIBS})
  if(ARG_ATEN)
    target_link_libraries(lithe_${name} PUBLIC lithe_torch)
  endif()
  lithe_precompile(lithe_${name} library)
  lithe_warnings(lithe_${name})
endfunction()

# lithe_test(NAME [LIBS target...] [LABELS label...] [SHARDS n]): tests/NAME/*.cpp as one GoogleTest binary, test_NAME.
# SHARDS: as so many tests that can run at the same time.
function(lithe_test name)
  cmake_parse_arguments(ARG "" "SHARDS" "LIBS;LABELS" ${ARGN})
  if(NOT ARG_LABELS)
    set(ARG_LABELS fast)
  endif()
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cpp")
  if(NOT sources)
    return()
  endif()
  add_executable(test_${name} ${sources})
  target_link_libraries(test_${name} PRIVATE ${ARG_LIBS} lithe_test_support GTest::gtest GTest::gtest_main)
  target_include_directories(test_${name} PRIVATE "${CMAKE_SOURCE_DIR}/tests")
  lithe_precompile(test_${name} test)
  lithe_warnings(test_${name})
  # -O1: more would take longer to compile than it saves. At -O1, GCC 12 warns inside the standard library's strings.
  target_compile_options(test_${name} PRIVATE -O1 -Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread)
  if(NOT ARG_SHARDS)
    set(ARG_SHARDS 1)
  endif()
  foreach(shard RANGE 1 ${ARG_SHARDS})
    set(test ${name})
    if(ARG_SHARDS GREATER 1)
      string(APPEND test "_${shard}_of_${ARG_SHARDS}")
    endif()
    math(EXPR index "${shard} - 1")
    add_test(NAME ${test} COMMAND test_${name} WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
    # Several tests share the cores, so that threads that spin while they wait would slow each other down.
    set_tests_properties(${test} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT 900
      ENVIRONMENT "OMP_WAIT_POLICY=passive;GTEST_TOTAL_SHARDS=${ARG_SHARDS};GTEST_SHARD_INDEX=${index}")
  endforeach()
endfunction()

# lithe_test_vector_sets(NAME TARGET [SETS set...]): the test once more with each smaller vector set, or with SETS alone;
# the largest is what it runs with anyway.
function(lithe_test_vector_sets name target)
  cmake_parse_arguments(ARG "" "" "SETS" ${ARGN})
  if(NOT ARG_SETS)
    set(ARG_SETS default avx2 avx512 avx512_vnni avx512_bf16)
  endif()
  foreach(set ${ARG_SETS})
    add_test(NAME ${name}_${set} COMMAND with_vector_set ${set} $<TARGET_FILE:${target}> WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
    set_tests_properties(${name}_${set} PROPERTIES LABELS vectors TIMEOUT 1800 SKIP_RETURN_CODE 77 ENVIRONMENT OMP_WAIT_POLICY=passive)
  endforeach()
endfunction()

# lithe_test_products(NAME TARGET [ONLY product] [ROW_GEMM argument...] [TILES argument...]): the test once more with each product that is made
# for large weights, which the small models of the tests would never meet. ONLY: with this one alone, as tests that
# compare to the rounding of float32 do not hold for tiles. ROW_GEMM, TILES: arguments for the run with this product.
function(lithe_test_products name target)
  cmake_parse_arguments(ARG "" "ONLY" "ROW_GEMM;TILES" ${ARGN})
  foreach(product row_gemm tiles)
    if(ARG_ONLY AND NOT product STREQUAL ARG_ONLY)
      continue()
    endif()
    string(TOUPPER ${product} upper)
    add_test(NAME ${name}_${product} COMMAND ${target} ${ARG_${upper}} WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
    set_tests_properties(${name}_${product} PROPERTIES LABELS products TIMEOUT 1800 ENVIRONMENT "OMP_WAIT_POLICY=passive;LITHE_PRODUCT=${product}")
  endforeach()
endfunction()

# lithe_script_test(NAME COMMAND argument...): a fast test that is a command run in the root of the project.
function(lithe_script_test name)
  add_test(NAME ${name} COMMAND ${ARGN} WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
  set_tests_properties(${name} PROPERTIES LABELS fast TIMEOUT 300)
endfunction()

function(lithe_warnings target)
  # Files of one unit are included, so GCC takes their unnamed namespaces for a header's.
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wno-missing-field-initializers>
    $<$<BOOL:${LITHE_UNITY}>:-Wno-subobject-linkage> $<$<BOOL:${LITHE_WERROR}>:-Werror>)
endfunction()
