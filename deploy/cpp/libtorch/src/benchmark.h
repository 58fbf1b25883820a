#pragma once

#include <vector>

#include "models.h"
#include "preprocess.h"

namespace baimu {

/// Prints what batches of 1, 2, 4, 8 and 16 of these images (repeated where they are fewer) take, reading not counted.
void benchmark(BatchModel& model, const std::vector<Prepared>& images);

/// An image of noise (480x640), made ready.
Prepared noise(const Preprocess& preprocess);

}  // namespace baimu
