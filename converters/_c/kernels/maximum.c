static void NAME_maximum(float *row, const float *other, int32_t step, int32_t count) {
  for (int32_t k = 0; k < count; ++k) {
    if (other[k * step] > row[k]) row[k] = other[k * step];
  }
}
