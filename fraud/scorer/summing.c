/* Summaries of whole rows: weighted sums of all inputs, and the sum of squares of most of them. See summing.py.
 *
 * Sums are added in the order of the inputs, in double, without contraction: the same bits on every machine. Nothing
 * is allocated; what it is given was checked when it was read (fraud/inputs/summaries.py).
 */

#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))
#define MOST 256 /* inputs of a row */

typedef struct {
    const double *mean;
    const double *scale;
    const double *start;
    const double *weights; /* of each input those of all sums */
    uint32_t inputs;
} Summaries;

static inline double within(double value, double bound) {
    return value > bound ? bound : value < -bound ? -bound : value;
}

/* Fill in the last three of each row's `inputs + 3` features: two sums, and the squares of all others. */
EXPORT void fraud_summarize(const Summaries *by, float *rows, uint64_t count) {
    uint32_t inputs = by->inputs, sums = inputs + 2;
    double total[MOST + 2];
    for (; count--; rows += inputs + 3) {
        const double *weight = by->weights;
        for (uint32_t sum = 0; sum < sums; sum++) total[sum] = by->start[sum];
        for (uint32_t input = 0; input < inputs; input++, weight += sums) {
            double value = within(((double)rows[input] - by->mean[input]) * by->scale[input], 1e6);
            if (value != value) continue; /* missing: as if it were the mean */
            for (uint32_t sum = 0; sum < sums; sum++) total[sum] += weight[sum] * value;
        }
        double squares = 0.0;
        for (uint32_t sum = 2; sum < sums; sum++) squares += total[sum] * total[sum];
        rows[inputs] = (float)total[0];
        rows[inputs + 1] = (float)total[1];
        rows[inputs + 2] = (float)squares;
    }
}
