// Loads an exported model, looks at images in batches, and prints what it says of them.

#include <iostream>

#include "arguments.h"
#include "benchmark.h"
#include "error.h"
#include "json.h"
#include "models.h"
#include "program.h"
#include "reader.h"

namespace baimu {
namespace {

constexpr int kBadInput = 2;  // as baimu's own command line leaves

/// Takes the images that could not be read out of `batch`, prints the lines of all in their order, and says whether
/// none was left out.
bool print_lines(BatchModel& model, const std::vector<Prepared>& batch) {
  std::vector<Prepared> read;
  for (const Prepared& image : batch)
    if (image.error.empty()) read.push_back(image);
  const std::vector<std::string> lines = read.empty() ? std::vector<std::string>() : model.tell(read);
  auto line = lines.begin();
  for (const Prepared& image : batch) {
    if (image.error.empty()) {
      std::cout << *line++ << '\n';
      continue;
    }
    std::cerr << image.error << '\n';
    std::cout << "{\"source\": " << quoted(image.name) << ", \"error\": " << quoted(image.error) << "}\n";
  }
  std::cout.flush();
  return read.size() == batch.size();
}

int predict(BatchModel& model, const Arguments& arguments) {
  const auto queue = read_ahead(arguments, model.card().preprocess);
  bool all = true;
  for (auto batch = queue->pop(); !batch.empty(); batch = queue->pop()) all = print_lines(model, batch) && all;
  return all ? 0 : kBadInput;
}

void run_benchmark(BatchModel& model, const Arguments& arguments) {
  const Preprocess& preprocess = model.card().preprocess;
  std::vector<Prepared> images;
  for (const std::string& path : arguments.images) {
    images.push_back(prepare(path, preprocess));
    if (!images.back().error.empty()) throw Error(images.back().error);
  }
  if (images.empty()) images.push_back(noise(preprocess));
  benchmark(model, images);
}

int run(const std::vector<std::string>& words) {
  const auto arguments = parse_arguments(words);
  if (!arguments) {
    std::cout << kUsage;
    return 0;
  }
  set_threads(arguments->threads);
  for (const std::string& path : arguments->operators) load_operators(path);
  Card card = Card::parse(read_card(arguments->model), arguments->model);
  Program program(arguments->model);
  const auto model = make_model(program, std::move(card), *arguments);
  if (!arguments->benchmark) return predict(*model, *arguments);
  run_benchmark(*model, *arguments);
  return 0;
}

}  // namespace
}  // namespace baimu

int main(int count, char** words) {
  try {
    return baimu::run({words + 1, words + count});
  } catch (const std::exception& error) {
    std::cerr << "baimu_predict: " << error.what() << '\n';
    return baimu::kBadInput;
  }
}
