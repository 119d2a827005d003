/* Bits as the numbers -1 and +1. */
static void NAME_dequantize(const uint32_t *words, int32_t channels, NAME_number *row) {
  for (int32_t i = 0; i < channels; ++i) {
    row[i] = (words[i / 32] >> (i % 32) & 1u) != 0 ? -1 : 1;
  }
}
