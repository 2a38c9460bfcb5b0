// Stands for the header of TensorFlow Lite for Microcontrollers: only what main.cc uses.
#pragma once
namespace tflite {
struct Model {};
inline const Model* GetModel(const void* data) { return static_cast<const Model*>(data); }
}  // namespace tflite
