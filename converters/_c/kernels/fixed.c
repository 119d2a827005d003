/* Fixed point: an integer n stands for n * 2^-b, where b is the same for all numbers of a row, and for
   all of a map. Numbers of a row have 32 bits. The shifts of negative numbers to the right round
   down, as all compilers do it. */

/* number * factor / 2^16, rounded down, for a factor of 16 bits. */
static int32_t NAME_times(int32_t number, int32_t factor) {
  return (number >> 16) * factor + (((number & 0xffff) * factor) >> 16);
}
