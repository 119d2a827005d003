/* A number, and a number of a map in memory. */
typedef float NAME_number;
typedef float NAME_stored;
#define NAME_WRONG 3e38f /* which no network gives */
