static void NAME_rsub(float *row, const float *other, int32_t step, int32_t count) {
  for (int32_t k = 0; k < count; ++k) row[k] = other[k * step] - row[k];
}
