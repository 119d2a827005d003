static void NAME_prelu(float *row, const float *slopes, int32_t step, int32_t count) {
  for (int32_t k = 0; k < count; ++k) {
    if (row[k] < 0.0f) row[k] *= slopes[k * step];
  }
}
