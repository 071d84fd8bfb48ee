/* Bytes wherever they lie, for batch.c: there is no library to ask. */

#ifndef FRAUD_BYTES_H
#define FRAUD_BYTES_H

#include <stdint.h>

#define STEP 0x9e3779b97f4a7c15u

static uint64_t little(const uint8_t *from, int bytes) {
    uint64_t value = 0;
    while (bytes--) value = value << 8 | from[bytes];
    return value;
}

static uint8_t *put(uint8_t *to, uint64_t value, int bytes) {
    for (; bytes; bytes--, value >>= 8) *to++ = (uint8_t)value;
    return to;
}

static uint64_t eight(const uint8_t *from) { /* in the machine's order, wherever they lie */
    uint64_t value;
    __builtin_memcpy(&value, from, 8);
    return value;
}

static void copy(uint8_t *to, const uint8_t *from, int64_t size) {
    for (; size >= 8; size -= 8, to += 8, from += 8) {
        uint64_t value = eight(from);
        __builtin_memcpy(to, &value, 8);
    }
    while (size--) *to++ = *from++;
}

static int same(const uint8_t *one, const uint8_t *other, int64_t size) {
    for (; size >= 8; size -= 8, one += 8, other += 8)
        if (eight(one) != eight(other)) return 0;
    while (size && *one == *other) one++, other++, size--;
    return !size;
}

/* `place.checksum`: words times odd numbers, each another, so that any changed word changes the sum. */
static uint32_t checksum(const uint8_t *from, int64_t size) {
    uint64_t sum = (uint64_t)size * STEP, factor = STEP;
    for (; size >= 8; size -= 8, from += 8, factor += 2 * STEP) sum += eight(from) * factor;
    sum += little(from, (int)size) * factor;
    return (uint32_t)(sum ^ sum >> 32);
}

#endif
