// Stands for the header of TensorFlow Lite for Microcontrollers: it answers each golden picture as expected, or with
// STAND_IN_WRONG wrong outputs in the last picture.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "golden.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

struct TfLiteTensor {
  union {
    void* data;
  } data;
};

namespace tflite {
class MicroInterpreter {
 public:
  MicroInterpreter(const Model* model, const MicroOpResolver&, uint8_t* arena, size_t arena_bytes)
      : sound_(static_cast<const void*>(model) == model_data && reinterpret_cast<uintptr_t>(arena) % 16 == 0 &&
               arena_bytes == MODEL_ARENA_BYTES) {
    input_.data.data = given_;
    output_.data.data = answer_;
  }
  TfLiteStatus AllocateTensors() { return sound_ ? kTfLiteOk : kTfLiteError; }
  TfLiteStatus Invoke() {
    if (std::memcmp(given_, golden_inputs[picture_], sizeof given_) != 0) return kTfLiteError;
    std::memcpy(answer_, golden_outputs[picture_], sizeof answer_);
    if (++picture_ == GOLDEN_PICTURES && STAND_IN_WRONG) answer_[3] = static_cast<model_output_t>(answer_[3] + 1);
    return kTfLiteOk;
  }
  TfLiteTensor* input(size_t) { return &input_; }
  TfLiteTensor* output(size_t) { return &output_; }

 private:
  bool sound_;
  int picture_ = 0;
  model_input_t given_[MODEL_INPUT_VALUES];
  model_output_t answer_[MODEL_OUTPUT_VALUES];
  TfLiteTensor input_, output_;
};
}  // namespace tflite
