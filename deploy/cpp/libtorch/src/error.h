#pragma once

#include <stdexcept>
#include <string>

namespace baimu {

/// What is wrong with something that the user gave: the message names the file and the mend.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace baimu
