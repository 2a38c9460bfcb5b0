// Answers the golden pictures on the board, and prints how many outputs differ from those of LiteRT's reference kernels.
// Written by edgeproof for TensorFlow Lite for Microcontrollers; InitializeTarget sets up the board's output.

#include <cstdint>
#include <cstring>

#include "golden.h"
#include "model.h"
#include "operations.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_log.h"
#include "tensorflow/lite/micro/system_setup.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {

alignas(16) uint8_t arena[MODEL_ARENA_BYTES];

int Differing(const model_output_t* answer, const model_output_t* expected) {
  int differing = 0;
  for (int place = 0; place < MODEL_OUTPUT_VALUES; ++place) {
    const model_output_t low = answer[place] < expected[place] ? answer[place] : expected[place];
    const model_output_t high = answer[place] < expected[place] ? expected[place] : answer[place];
    // Not a <= : a NaN differs from everything
    if (!(high - low <= GOLDEN_TOLERANCE)) ++differing;
  }
  return differing;
}

int Best(const model_output_t* answer) {
  int best = 0;
  for (int place = 1; place < MODEL_OUTPUT_VALUES; ++place) {
    if (answer[place] > answer[best]) best = place;
  }
  return best;
}

}  // namespace

int main() {
  tflite::InitializeTarget();
  edgeproof::Resolver resolver;
  edgeproof::AddOperations(resolver);
  tflite::MicroInterpreter interpreter(tflite::GetModel(model_data), resolver, arena, MODEL_ARENA_BYTES);
  if (interpreter.AllocateTensors() != kTfLiteOk) {
    MicroPrintf("the arena of %d bytes is too small here: make MODEL_ARENA_BYTES larger", MODEL_ARENA_BYTES);
    return 1;
  }
  int differing = 0;
  for (int picture = 0; picture < GOLDEN_PICTURES; ++picture) {
    std::memcpy(interpreter.input(0)->data.data, golden_inputs[picture], sizeof golden_inputs[picture]);
    if (interpreter.Invoke() != kTfLiteOk) {
      MicroPrintf("golden picture %d: not answered", picture);
      return 1;
    }
    model_output_t answer[MODEL_OUTPUT_VALUES];
    std::memcpy(answer, interpreter.output(0)->data.data, sizeof answer);
    const int here = Differing(answer, golden_outputs[picture]);
    const int best = Best(answer);
    MicroPrintf("golden picture %d: %s, %d of %d outputs differ", picture, best < MODEL_CLASSES ? model_labels[best] : "?",
                here, MODEL_OUTPUT_VALUES);
    differing += here;
  }
  MicroPrintf("%s: %d outputs differ", differing ? "FAIL" : "PASS", differing);
  return differing ? 1 : 0;
}
