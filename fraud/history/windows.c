/* Windows over what a key did before: add a transaction to the state of its key, and read what the windows hold.
 *
 * How a state lies in memory, and what the numbers of a layout mean, is said in layout.py; plain.py is the same without
 * a compiler. States hold whole numbers, so their sums do not depend on the order; what is read of them is divided
 * once. Built into the scorer's binary, by `make kernels`; needs no library and allocates nothing.
 *
 * Every offset is inside `size`, which layout.py sees to; a state may hold any bytes: nothing in it is a place.
 */

#include "windows.h"

#define MISSING INT64_MIN
enum { COUNT, SUM, MEAN, RATIO, SINCE, FRAUD_COUNT, FRAUD_SHARE };

typedef struct {
    int64_t width, ring, counts, frauds;
} Window;

typedef struct {
    int64_t seen, latest;
} Header;

static double none(void) {
    union { uint64_t bits; double value; } nan = {0x7ff8000000000000u};
    return nan.value;
}

static int64_t bucket(int64_t time, int64_t width) { /* rounded down, before 1970 too */
    int64_t whole = time / width;
    return whole - (time % width < 0);
}

static int64_t place(int64_t number, int64_t ring) {
    int64_t rest = number % ring;
    return rest < 0 ? rest + ring : rest;
}

static uint32_t *small(uint8_t *state, int64_t offset) { return (uint32_t *)(void *)(state + offset); }
static uint64_t *large(uint8_t *state, int64_t offset) { return (uint64_t *)(void *)(state + offset); }

/* The sum of the buckets low to high, of which those up to `newest` are in the ring. */
static uint64_t total(const uint32_t *few, const uint64_t *many, int64_t low, int64_t high, int64_t newest,
                      int64_t ring) {
    if (low < newest - ring + 1) low = newest - ring + 1;
    if (high > newest) high = newest;
    uint64_t sum = 0;
    if (low > high) return 0;
    int64_t at = place(low, ring);
    for (int64_t left = high - low + 1; left; left--) {
        sum += few ? few[at] : many[at];
        if (++at == ring) at = 0;
    }
    return sum;
}

static void clear(const Layout *layout, const Window *window, const int64_t *sums, const int64_t *values,
                  uint8_t *state, int64_t at) {
    small(state, window->counts)[at] = 0;
    if (window->frauds >= 0) small(state, window->frauds)[at] = 0;
    for (int64_t sum = 0; sum < layout->sums; sum++) {
        large(state, sums[sum])[at] = 0;
        small(state, values[sum])[at] = 0;
    }
}

/* Add one transaction to `state`, and read the windows as they are then. */
static void advance_one(const Layout *layout, const double *scales, uint8_t *state, int64_t time, const int64_t *own,
                        uint32_t fraud, double *features) {
    const int64_t *windows = (const int64_t *)(const void *)(layout + 1);
    Header *header = (Header *)(void *)state;
    int64_t before = header->seen ? header->latest : time, stride = 4 + 2 * layout->sums;
    uint64_t gap = time > before ? (uint64_t)time - (uint64_t)before : 0, cap = (uint64_t)layout->cap;
    uint64_t since = !header->seen || gap > cap ? cap : gap;
    int64_t latest = header->seen && before > time ? before : time;
    const int64_t *made = windows + layout->windows * stride;
    for (int64_t at = 0; at < layout->windows; at++) {
        const Window *window = (const Window *)(const void *)(windows + at * stride);
        const int64_t *sums = windows + at * stride + 4, *values = sums + layout->sums;
        int64_t ring = window->ring, newest = bucket(latest, window->width), now = bucket(time, window->width);
        int64_t first = bucket(before, window->width) + 1;
        if (first < newest - ring + 1) first = newest - ring + 1;
        for (; first <= newest; first++) clear(layout, window, sums, values, state, place(first, ring));
        if (now <= newest - ring) continue;
        int64_t to = place(now, ring);
        small(state, window->counts)[to]++;
        if (window->frauds >= 0) small(state, window->frauds)[to] += fraud;
        for (int64_t sum = 0; sum < layout->sums; sum++) {
            if (own[sum] == MISSING) continue;
            large(state, sums[sum])[to] += (uint64_t)own[sum];
            if (values[sum] != window->counts) small(state, values[sum])[to]++;
        }
    }
    header->seen = 1;
    header->latest = latest;
    for (int64_t at = 0; at < layout->features; at++) {
        int64_t op = made[3 * at], sum = made[3 * at + 2];
        if (op == SINCE) {
            features[at] = (double)since / 1e6;
            continue;
        }
        const Window *window = (const Window *)(const void *)(windows + made[3 * at + 1] * stride);
        const int64_t *sums = windows + made[3 * at + 1] * stride + 4, *values = sums + layout->sums;
        int64_t ring = window->ring, newest = bucket(latest, window->width), now = bucket(time, window->width);
        int64_t low = now - layout->buckets, high = now, late = now <= newest - ring;
        if (op == FRAUD_COUNT || op == FRAUD_SHARE) {
            high = bucket(time - layout->delay, window->width) - 1;
            low = high - layout->buckets + 1;
            uint64_t frauds = total(small(state, window->frauds), 0, low, high, newest, ring);
            uint64_t rows = total(small(state, window->counts), 0, low, high, newest, ring);
            features[at] = op == FRAUD_COUNT ? (double)frauds : rows ? (double)frauds / (double)rows : 0.0;
            continue;
        }
        if (op == COUNT) {
            features[at] = (double)(total(small(state, window->counts), 0, low, high, newest, ring) + (uint64_t)late);
            continue;
        }
        int64_t here = own[sum] != MISSING;
        uint64_t rows = total(small(state, values[sum]), 0, low, high, newest, ring) + (uint64_t)(late && here);
        int64_t added = (int64_t)(total(0, large(state, sums[sum]), low, high, newest, ring) +
                                  (late && here ? (uint64_t)own[sum] : 0));
        if (op == SUM)
            features[at] = (double)added / scales[sum];
        else if (op == MEAN)
            features[at] = rows ? (double)added / ((double)rows * scales[sum]) : none();
        else
            features[at] = here && added ? (double)own[sum] * (double)rows / (double)added : none();
    }
}

void advance_rows(const Layout *layout, const double *scales, uint8_t *states, const int64_t *slots,
                  const int64_t *times, const int64_t *values, const uint8_t *frauds, uint64_t rows, double *features,
                  uint64_t stride) {
    for (uint64_t row = 0; row < rows; row++, features += stride, values += layout->sums) {
        if (slots[row] < 0) {
            for (int64_t at = 0; at < layout->features; at++) features[at] = none();
            continue;
        }
        advance_one(layout, scales, states + slots[row] * layout->size, times[row], values, frauds ? frauds[row] : 0,
                    features);
    }
}

EXPORT void fraud_advance(const int64_t *table, const double *scales, uint8_t *states, const int64_t *slots,
                          const int64_t *times, const int64_t *values, const uint8_t *frauds, uint64_t rows,
                          double *features, uint64_t stride) {
    advance_rows((const Layout *)(const void *)table, scales, states, slots, times, values, frauds, rows, features,
                 stride);
}
