/* The exact scorer's inner loop: the walk of every row down every tree of a forest.
 *
 * Built for each platform by `make kernels`, loaded by kernel.py. It needs no library, not even libc's, and allocates
 * nothing. What it is given was checked when the forest was made (forest.py): children lie behind their parent inside
 * the tree, leaves have the highest cut and no distance, features are below `features`. So every walk ends, and inside
 * the arrays, whatever the rows hold, NaN included.
 *
 * Numbers are compared as unsigned keys in the order of the floats (see `key`), so the processor's treatment of
 * subnormals, which other libraries in the process may have changed, has no say. Leaf values are added in the order
 * of the trees in double, then divided once, as scikit-learn does; build without -ffast-math and without contraction.
 *
 * A step depends on the one before it, and a wrongly guessed branch costs as much as three steps. So a step has no
 * branch, and LANES walks go on at once: rows of one tree, whose nodes stay in the first-level cache for a block of
 * rows, or, for single rows, several trees.
 */

#include <stdint.h>

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif
#define INLINE static inline __attribute__((always_inline))

#define LANES 8     /* walks at once: more would not fit the registers */
#define CELLS 2048  /* of a block of rows: 16 KiB, half of a first-level cache */
#define NARROW 32   /* least cells of a row: 32, 64, 128 or 256, the least that hold its features */

/* cut << 32 | distance to the left child << 8 | feature. The right child is one further; a leaf's distance is 0.
 * Go right when the key of the row's value is above the cut. One comparison does it in place: a row's key in the upper
 * half is above the node exactly when it is above the cut, whatever the lower half says. */
typedef uint64_t Node;

typedef struct {
    const Node *nodes;
    const double *value;
    const int32_t *roots;
    uint32_t trees;
    uint32_t features;
} Forest;

/* Float bits as a number in the same order, in the upper half; both zeros are one number. */
INLINE uint64_t key(uint32_t bits) {
    uint32_t negative = 0u - (bits >> 31);
    return (uint64_t)(0x80000000u + (((bits & 0x7fffffffu) ^ negative) - negative)) << 32;
}

/* One step of one walk. At a leaf it stays. Returns the link it followed: below 256 at a leaf. */
INLINE uint32_t step(const Node *nodes, uint32_t *at, const uint64_t *row) {
    Node node = nodes[*at];
    uint32_t link = (uint32_t)node;
    *at += (link >> 8) + (node < row[link & 255u]);
    return link;
}

/* Add one tree's value to the totals of LANES rows. */
INLINE void walk_rows(const Node *tree, const double *value, const uint64_t *rows, uint32_t width, double *totals) {
    uint32_t at[LANES] = {0};
    uint32_t links;
    do { /* two steps a round: asking costs, and so does a step too many */
        for (uint32_t lane = 0; lane < LANES; lane++) step(tree, &at[lane], rows + lane * width);
        links = 0;
        for (uint32_t lane = 0; lane < LANES; lane++) links |= step(tree, &at[lane], rows + lane * width);
    } while (links >> 8);
    for (uint32_t lane = 0; lane < LANES; lane++) totals[lane] += value[at[lane]];
}

INLINE void score_groups(const Forest *forest, const uint64_t *cells, uint32_t width, uint32_t rows, double *totals) {
    for (uint32_t row = 0; row < rows; row++) totals[row] = 0.0;
    for (uint32_t tree = 0; tree < forest->trees; tree++) {
        const Node *nodes = forest->nodes + forest->roots[tree];
        const double *value = forest->value + forest->roots[tree];
        for (uint32_t row = 0; row < rows; row += LANES)
            walk_rows(nodes, value, cells + row * width, width, totals + row);
    }
}

/* Total of one row: LANES trees at a time. */
static double score_row(const Forest *forest, const uint64_t *row) {
    const Node *nodes = forest->nodes;
    double total = 0.0;
    uint32_t tree = 0, links;
    for (; tree + LANES <= forest->trees; tree += LANES) {
        uint32_t at[LANES];
        for (uint32_t lane = 0; lane < LANES; lane++) at[lane] = (uint32_t)forest->roots[tree + lane];
        do {
            for (uint32_t lane = 0; lane < LANES; lane++) step(nodes, &at[lane], row);
            links = 0;
            for (uint32_t lane = 0; lane < LANES; lane++) links |= step(nodes, &at[lane], row);
        } while (links >> 8);
        for (uint32_t lane = 0; lane < LANES; lane++) total += forest->value[at[lane]];
    }
    for (; tree < forest->trees; tree++) {
        uint32_t at = (uint32_t)forest->roots[tree];
        while (step(nodes, &at, row) >> 8) {}
        total += forest->value[at];
    }
    return total;
}

/* Scores of at most CELLS / width rows. */
INLINE void score_block(const Forest *forest, const uint32_t *bits, uint32_t width, uint32_t rows, double *scores) {
    uint64_t cells[CELLS];
    double totals[CELLS / NARROW];
    for (uint32_t row = 0; row < rows; row++)
        for (uint32_t column = 0; column < forest->features; column++)
            cells[row * width + column] = key(bits[(uint64_t)row * forest->features + column]);

    uint32_t rest = rows % LANES;
    uint32_t grouped = rows - rest;
    if (rest > LANES / 2) { /* a group of its own, filled up with its last row */
        for (grouped += LANES; rows < grouped; rows++)
            for (uint32_t column = 0; column < forest->features; column++)
                cells[rows * width + column] = cells[(rows - 1) * width + column];
        rows -= LANES - rest;
    }
    if (grouped) score_groups(forest, cells, width, grouped, totals);
    for (uint32_t row = grouped; row < rows; row++) totals[row] = score_row(forest, cells + row * width);
    for (uint32_t row = 0; row < rows; row++) scores[row] = totals[row] / forest->trees;
}

/* Score `rows` rows of `features` floats each, given by their bits, row after row. */
EXPORT void fraud_score(const Forest *forest, const uint32_t *bits, uint64_t rows, double *scores) {
    uint32_t width = NARROW;
    while (width < forest->features) width *= 2;
    while (rows) {
        uint32_t block = rows < CELLS / width ? (uint32_t)rows : CELLS / width;
        switch (width) { /* by a constant, rows are reached without a multiplication */
        case 32: score_block(forest, bits, 32, block, scores); break;
        case 64: score_block(forest, bits, 64, block, scores); break;
        case 128: score_block(forest, bits, 128, block, scores); break;
        default: score_block(forest, bits, 256, block, scores);
        }
        bits += (uint64_t)block * forest->features;
        scores += block;
        rows -= block;
    }
}
