/* What windows.c and batch.c share. */

#ifndef FRAUD_WINDOWS_H
#define FRAUD_WINDOWS_H

#include <stdint.h>

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

/* The first numbers of a layout's table (layout.py); those of its windows and features follow. */
typedef struct {
    int64_t size, windows, sums, features, buckets, delay, cap;
} Layout;

/* Go through `rows` transactions in their order. `slots`: which of `states` is that of a row's key, -1 for no key, whose
 * features are missing; `values`: of each row its summed values; `frauds`: 0 or 1 a row, or null; `features`: of each
 * row as many, `stride` apart. */
void advance_rows(const Layout *layout, const double *scales, uint8_t *states, const int64_t *slots,
                  const int64_t *times, const int64_t *values, const uint8_t *frauds, uint64_t rows, double *features,
                  uint64_t stride);

#endif
