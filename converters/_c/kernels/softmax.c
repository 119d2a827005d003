/* Needs expf of <math.h>. */
static void NAME_softmax(float *row, int32_t count, float beta) {
  float largest = row[0], sum = 0.0f;
  for (int32_t k = 1; k < count; ++k) {
    if (row[k] > largest) largest = row[k];
  }
  for (int32_t k = 0; k < count; ++k) {
    row[k] = expf((row[k] - largest) * beta);
    sum += row[k];
  }
  for (int32_t k = 0; k < count; ++k) row[k] /= sum;
}
