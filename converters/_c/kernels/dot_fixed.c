/* The products of `size` numbers with filters. The sums have 64 bits. */
static void NAME_dot_fixed(const int16_t *values, const int16_t *weights, const int8_t *shifts,
                           const int32_t *offsets, int32_t size, int32_t filters, int32_t *output) {
  for (int32_t f = 0; f < filters; ++f, weights += size) {
    int64_t sum = 0;
    int32_t k = 0;
#if NAME_PAIRS
    for (; k < size - 1; k += 2) {
      const uint32_t pair = NAME_pair(values + k), other = NAME_pair(weights + k);
      __asm__("smlald %Q0, %R0, %1, %2" : "+r"(sum) : "r"(pair), "r"(other));
    }
#endif
    for (; k < size; ++k) sum += values[k] * weights[k];
    sum = shifts[f] > 0 ? ((sum >> (shifts[f] - 1)) + 1) >> 1 : sum * (1 << -shifts[f]);
    output[f] = (int32_t)sum + offsets[f];
  }
}
