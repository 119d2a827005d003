/* Arm's DSP instructions (Cortex-M4, M7 and many M33) multiply two numbers of 16 bits with two others
   and add both products to a sum, in one instruction. */
#if defined(__GNUC__) && defined(__ARM_FEATURE_SIMD32) && defined(__ARM_FEATURE_UNALIGNED)
#define NAME_PAIRS 1

/* Two numbers as they lie side by side. It is one load, which need not be aligned, also where
   -ffreestanding makes memcpy a call. */
static uint32_t NAME_pair(const int16_t *numbers) {
  uint32_t pair;
  __builtin_memcpy(&pair, numbers, sizeof(pair));
  return pair;
}
#else
#define NAME_PAIRS 0
#endif
