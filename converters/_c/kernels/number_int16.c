/* A number, and a number of a map in memory: integers times a power of 2, see fixed.c. */
typedef int32_t NAME_number;
typedef int16_t NAME_stored;
#define NAME_WRONG 0x3fffffff /* which no network gives */
