# The libtorch inside a pip-installed torch, or an unpacked one: -DLIBTORCH=FOLDER (that with include/ and lib/).
#
# torch's own TorchConfig.cmake asks for the whole CUDA toolkit of the release that a wheel was built with, though a
# program that computes on the CPU needs none of it. This looks for the headers and two libraries alone.

set(LIBTORCH "" CACHE PATH "The folder of torch, with include/ and lib/; empty: that of the Python found")
if(NOT LIBTORCH)
  find_package(Python3 COMPONENTS Interpreter)
  if(Python3_FOUND)
    execute_process(
      COMMAND ${Python3_EXECUTABLE} -c
              "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')"
      OUTPUT_VARIABLE _libtorch OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
else()
  set(_libtorch ${LIBTORCH})
endif()

find_path(LIBTORCH_INCLUDE ATen/ATen.h PATHS ${_libtorch}/include NO_DEFAULT_PATH)
find_library(LIBTORCH_CPU torch_cpu PATHS ${_libtorch}/lib NO_DEFAULT_PATH)
find_library(LIBTORCH_C10 c10 PATHS ${_libtorch}/lib NO_DEFAULT_PATH)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  Libtorch
  REQUIRED_VARS LIBTORCH_INCLUDE LIBTORCH_CPU LIBTORCH_C10
  REASON_FAILURE_MESSAGE "pip install torch for the Python found (-DPython3_EXECUTABLE=...), or give -DLIBTORCH=FOLDER")

if(Libtorch_FOUND AND NOT TARGET Libtorch::Libtorch)
  add_library(Libtorch::Libtorch INTERFACE IMPORTED)
  # As system headers, so that their warnings are not ours.
  set_target_properties(
    Libtorch::Libtorch
    PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${LIBTORCH_INCLUDE};${LIBTORCH_INCLUDE}/torch/csrc/api/include"
               INTERFACE_LINK_LIBRARIES "${LIBTORCH_CPU};${LIBTORCH_C10}")
  # What AOTInductor compiled loads libtorch.so when it is opened; only an RPATH, unlike a RUNPATH, serves that too.
  if(UNIX AND NOT APPLE)
    set_property(TARGET Libtorch::Libtorch PROPERTY INTERFACE_LINK_OPTIONS "-Wl,--disable-new-dtags")
  endif()
endif()
