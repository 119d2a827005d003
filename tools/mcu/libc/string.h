/* The functions of the C library's string.h that a network calls. */
#ifndef MCU_STRING_H
#define MCU_STRING_H
#include <stddef.h>
void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
#endif
