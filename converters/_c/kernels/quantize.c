/* The signs of numbers as bits: 1 where a number is below 0, the first channel in the lowest bit. */
static void NAME_quantize(const NAME_number *row, int32_t channels, uint32_t *words) {
  for (int32_t first = 0; first < channels; first += 32) {
    uint32_t word = 0;
    for (int32_t i = 0; i < 32 && first + i < channels; ++i) {
      if (row[first + i] < 0) word |= 1u << i;
    }
    *words++ = word;
  }
}
