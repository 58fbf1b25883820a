#pragma once

#include <memory>

#include "arguments.h"
#include "preprocess.h"
#include "queue.h"

namespace baimu {

using Queue = BatchQueue<Prepared>;

/// Begins to read the images of `arguments` in a thread of its own, while the network computes; they come out of the
/// queue in their order.
std::shared_ptr<Queue> read_ahead(const Arguments& arguments, const Preprocess& preprocess);

}  // namespace baimu
