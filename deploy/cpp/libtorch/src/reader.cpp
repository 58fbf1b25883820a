#include "reader.h"

#include <iostream>
#include <thread>

namespace baimu {
namespace {

void read_lines(Queue& queue, const Preprocess& preprocess) {
  std::string path;
  while (std::getline(std::cin, path)) {
    if (!path.empty() && path.back() == '\r') path.pop_back();
    if (!path.empty() && !queue.push(prepare(path, preprocess))) return;
  }
}

}  // namespace

std::shared_ptr<Queue> read_ahead(const Arguments& arguments, const Preprocess& preprocess) {
  const bool stream = arguments.from_stdin();
  const std::chrono::milliseconds patience = stream ? arguments.latency : std::chrono::hours(24);
  auto queue = std::make_shared<Queue>(static_cast<std::size_t>(arguments.batch), patience);
  // Detached, and owner of all that it uses: one that waits for a line of input cannot be joined when another fails.
  std::thread([queue, preprocess, stream, paths = arguments.images] {
    if (stream) read_lines(*queue, preprocess);
    else
      for (const std::string& path : paths)
        if (!queue->push(prepare(path, preprocess))) break;
    queue->close();
  }).detach();
  return queue;
}

}  // namespace baimu
