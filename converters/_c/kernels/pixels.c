/* Bytes of a picture as the numbers that the network takes: `table` has the 256 numbers of each
   channel. */
static void NAME_pixels(const uint8_t *bytes, const NAME_number *table, int32_t channels,
                        NAME_number *row) {
  for (int32_t k = 0; k < channels; ++k) row[k] = table[256 * k + bytes[k]];
}
