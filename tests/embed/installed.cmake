# Installs what BUILD holds below SCRATCH, builds examples/embed against that as a stranger would, and asks a question
# whose answer is known.
set(prefix "${SCRATCH}/prefix")
set(question "what is the color of the rectangle?")
set(picture "${prefix}/share/lithe/models/images/901.png")
set(answer "Blue.\n")
file(REMOVE_RECURSE "${SCRATCH}")

function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY OUTPUT_QUIET)
endfunction()

# expect(COMMAND...): the command prints the answer and nothing else.
function(expect)
  execute_process(COMMAND ${ARGN} OUTPUT_VARIABLE out ERROR_VARIABLE err RESULT_VARIABLE code)
  if(NOT code EQUAL 0 OR NOT out STREQUAL answer)
    message(FATAL_ERROR "${ARGN}\nended with ${code} and said '${out}', not '${answer}'\n${err}")
  endif()
endfunction()

run("${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${prefix}")
foreach(file bin/lithe include/lithe/lithe.h include/lithe/model.h share/lithe/plans/p-mod.json share/doc/lithe/embedding.md)
  if(NOT EXISTS "${prefix}/${file}")
    message(FATAL_ERROR "${file} was not installed")
  endif()
endforeach()
expect("${prefix}/bin/lithe" run demo --image "${picture}" "${question}")

run("${CMAKE_COMMAND}" -S "${SOURCE}/examples/embed" -B "${SCRATCH}/build" "-DCMAKE_PREFIX_PATH=${prefix}"
  "-DCMAKE_C_FLAGS=-Wall -Wextra -Wpedantic -Werror" "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Wpedantic -Werror")
run("${CMAKE_COMMAND}" --build "${SCRATCH}/build")
foreach(program ask ask_c)
  foreach(model easyvqa-pmod easyvqa-dense)
    expect("${SCRATCH}/build/${program}" "${prefix}/share/lithe/models/${model}" "${picture}" "${question}")
  endforeach()
  execute_process(COMMAND "${SCRATCH}/build/${program}" /nowhere "${picture}" "${question}"
    RESULT_VARIABLE code ERROR_VARIABLE err OUTPUT_QUIET)
  if(code EQUAL 0 OR NOT err MATCHES "^${program}: [^\n]*/nowhere[^\n]*\n$")
    message(FATAL_ERROR "${program} with no model ended with ${code} and said '${err}'")
  endif()
endforeach()

# The same in C by pkg-config, whose file finds everything by its own place.
file(GLOB_RECURSE pc "${prefix}/lithe.pc")
get_filename_component(pc "${pc}" DIRECTORY)
file(WRITE "${SCRATCH}/pkg_config.sh" [[
set -e
models=$(pkg-config --variable=models lithe)
cc "$1/examples/embed/main.c" -o "$2/ask_pc" $(pkg-config --cflags --libs lithe) -Wl,-rpath,"$(pkg-config --variable=libdir lithe)"
"$2/ask_pc" "$models/easyvqa-pmod" "$3" "$4"
]])
expect("${CMAKE_COMMAND}" -E env "PKG_CONFIG_PATH=${pc}" sh "${SCRATCH}/pkg_config.sh" "${SOURCE}" "${SCRATCH}" "${picture}" "${question}")

# What docs/embedding.md prints, built and run as printed: its commands, and its C++ and C in programs of its CMake.
# shown(LANGUAGE RESULT): the page's blocks of a language, one after the other.
file(READ "${prefix}/share/doc/lithe/embedding.md" page)
function(shown language result)
  string(REGEX MATCHALL "```${language}\n[^`]*```" blocks "${page}")
  string(REGEX REPLACE "```(${language}\n)?;?" "" text "${blocks}")
  if(text STREQUAL "")
    message(FATAL_ERROR "docs/embedding.md shows no ${language}")
  endif()
  set(${result} "${text}" PARENT_SCOPE)
endfunction()

set(stranger "${SCRATCH}/stranger")
file(MAKE_DIRECTORY "${stranger}")
file(CREATE_LINK "${SOURCE}/examples" "${stranger}/examples" SYMBOLIC)
file(CREATE_LINK "${prefix}/share/lithe/models/easyvqa-pmod" "${stranger}/llava-1.5-7b-hf" SYMBOLIC)
file(CREATE_LINK "${picture}" "${stranger}/photo.jpg" SYMBOLIC)
shown(sh commands)
string(REPLACE "DIR" "${prefix}" commands "${commands}")
file(WRITE "${stranger}/page.sh" "${commands}")
execute_process(COMMAND sh -e page.sh WORKING_DIRECTORY "${stranger}"
  COMMAND_ERROR_IS_FATAL ANY OUTPUT_VARIABLE out ERROR_QUIET)
if(NOT out MATCHES "\nBlue.\n$")
  message(FATAL_ERROR "The commands of docs/embedding.md said '${out}'")
endif()

shown(cmake cmake)
shown(cpp cpp)
shown(c c)
string(REGEX MATCHALL "#include <[^>]*>\n" includes "${cpp}")
list(JOIN includes "" includes)
string(REGEX REPLACE "#include <[^>]*>\n" "" cpp "${cpp}")
file(WRITE "${stranger}/page/main.cpp" "${includes}int main() {${cpp}}\n")
file(WRITE "${stranger}/page/options.c" "#include <lithe/lithe.h>\nvoid options(void) {${c}}\n")
file(WRITE "${stranger}/page/CMakeLists.txt"
  "cmake_minimum_required(VERSION 3.25)\nproject(page LANGUAGES C CXX)\nadd_executable(program main.cpp options.c)\n${cmake}")
run("${CMAKE_COMMAND}" -S "${stranger}/page" -B "${stranger}/page/build" "-DCMAKE_PREFIX_PATH=${prefix}")
run("${CMAKE_COMMAND}" --build "${stranger}/page/build")
execute_process(COMMAND "${stranger}/page/build/program" WORKING_DIRECTORY "${stranger}"
  COMMAND_ERROR_IS_FATAL ANY OUTPUT_VARIABLE out)
if(out STREQUAL "")
  message(FATAL_ERROR "The program of docs/embedding.md said nothing")
endif()

# The library shows its public face and nothing below it.
file(GLOB library "${prefix}/lib*/liblithe.so" "${prefix}/lib/*/liblithe.so")
execute_process(COMMAND "${NM}" -DC --defined-only "${library}" COMMAND_ERROR_IS_FATAL ANY OUTPUT_VARIABLE symbols)
if(NOT symbols MATCHES "lithe::Model::ask" OR NOT symbols MATCHES " lithe_ask" OR
   symbols MATCHES "lithe::(base|io|text|image|plan|ops|nn|routing|models|session|api)::[^\n]*" OR
   symbols MATCHES " lithe_text_[^\n]*")
  message(FATAL_ERROR "The library's symbols are not its public face: ${CMAKE_MATCH_0}")
endif()

# The completion is a script that bash takes, and it completes.
set(script "${prefix}/share/bash-completion/completions/lithe")
file(WRITE "${SCRATCH}/complete.sh" "source '${script}'\n" [[
complete_line() { COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _lithe; echo "${COMPREPLY[*]}"; }
complete_line lithe ru
complete_line lithe run demo --heat
complete_line lithe run demo --plan shor
complete_line lithe run demo-d
]])
execute_process(COMMAND bash "${SCRATCH}/complete.sh" WORKING_DIRECTORY "${SCRATCH}"
  COMMAND_ERROR_IS_FATAL ANY OUTPUT_VARIABLE completed)
if(NOT completed STREQUAL "run\n--heat-map\nshortv\ndemo-dense\n")
  message(FATAL_ERROR "bash completed '${completed}'")
endif()
