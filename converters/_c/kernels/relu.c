static void NAME_relu(float *row, int32_t count) {
  for (int32_t k = 0; k < count; ++k) {
    if (row[k] < 0.0f) row[k] = 0.0f;
  }
}
