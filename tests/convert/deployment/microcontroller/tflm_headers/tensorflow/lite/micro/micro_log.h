// Stands for the header of TensorFlow Lite for Microcontrollers: only what main.cc uses.
#pragma once
#include <cstdio>
#define MicroPrintf(...) (std::printf(__VA_ARGS__), std::printf("\n"))
