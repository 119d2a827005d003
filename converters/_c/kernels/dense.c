static void NAME_dense(const float *row, const float *weights, const float *bias, int32_t size,
                       int32_t outputs, float *output) {
  for (int32_t f = 0; f < outputs; ++f, weights += size) {
    float sum = 0.0f;
    for (int32_t k = 0; k < size; ++k) {
      const float product = row[k] * weights[k];
      sum += product;
    }
    output[f] = sum + bias[f];
  }
}
