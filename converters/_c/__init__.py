"""C source of a `.tflite`: what a stage of `export_c` needs."""
