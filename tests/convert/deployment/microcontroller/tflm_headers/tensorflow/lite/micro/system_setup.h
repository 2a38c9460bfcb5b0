// Stands for the header of TensorFlow Lite for Microcontrollers: only what main.cc uses.
#pragma once
namespace tflite {
inline void InitializeTarget() {}
}  // namespace tflite
