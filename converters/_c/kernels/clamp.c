static void NAME_clamp(float *row, float lowest, float highest, int32_t count) {
  for (int32_t k = 0; k < count; ++k) {
    if (row[k] < lowest) row[k] = lowest;
    if (row[k] > highest) row[k] = highest;
  }
}
