"""A microcontroller's interpreter as a device: a process on this machine that is reached over a pipe."""
