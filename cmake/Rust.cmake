# CARGO and RUSTC: a Rust of 1.87 or newer. Debian 12 has it as `cargo-web`, Ubuntu as `cargo-1.NN` beside `rustc-1.NN`;
# tools/find_cargo.sh knows them all. -DCARGO=... -DRUSTC=..., or the environment, choose another.
if(NOT CARGO OR NOT RUSTC)
  foreach(tool CARGO RUSTC)
    if(${tool})
      set(ENV{${tool}} "${${tool}}")
    endif()
  endforeach()
  execute_process(COMMAND "${CMAKE_SOURCE_DIR}/tools/find_cargo.sh" OUTPUT_VARIABLE found RESULT_VARIABLE failed
    OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(failed)
    message(FATAL_ERROR "No cargo of Rust 1.87 or newer; run `make setup` or pass -DCARGO=FILE -DRUSTC=FILE.")
  endif()
  separate_arguments(found)
  list(GET found 0 cargo)
  list(GET found 1 rustc)
  set(CARGO "${cargo}" CACHE FILEPATH "cargo of Rust 1.87 or newer" FORCE)
  set(RUSTC "${rustc}" CACHE FILEPATH "rustc that CARGO runs" FORCE)
endif()
