// Stands for the header of TensorFlow Lite for Microcontrollers: the operations of the tests' models alone.
#pragma once
enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };
namespace tflite {
class MicroOpResolver {};
template <unsigned int tOpCount>
class MicroMutableOpResolver : public MicroOpResolver {
 public:
  TfLiteStatus AddConv2D() { return Added(); }
  TfLiteStatus AddFullyConnected() { return Added(); }
  TfLiteStatus AddMaxPool2D() { return Added(); }
  TfLiteStatus AddQuantize() { return Added(); }
  TfLiteStatus AddSoftmax() { return Added(); }

 private:
  TfLiteStatus Added() { return ++added_ <= tOpCount ? kTfLiteOk : kTfLiteError; }
  unsigned int added_ = 0;
};
}  // namespace tflite
