/* A batch of transactions through the store's files at once, where they lie in memory: what store.py does with one call
 * after another.
 *
 * Only the usual is done here: every key has a slot, every id is new, nothing is damaged, the journal is empty. Anything
 * else is left to store.py (ASIDE; NEW where a key is not found), which finds the files as they were. Whoever calls has
 * the gate, and has looked how long the files are; what is written to has its place on the disk.
 */

#include "bytes.h"
#include "windows.h"

enum { DONE, ASIDE, NEW };
enum { KEY = 16, TEXT = 35, PREFIX = 3, CHECK = 4, CHANGE = 12, JOURNAL_HEAD = 24, BUCKET_HEAD = 8 };
enum { INDEX_HEAD = 16, INDEX_ENTRY = 16, INDEX_BUCKET = 512 };
#define GONE UINT64_MAX
#define MISSING INT64_MIN
#define MOST 1e12
#define FURTHEST 4e18

/* One file, as the journal names it, and where it is in memory: `size` bytes of it are there. */
typedef struct {
    const uint8_t *label;
    int64_t label_size;
    uint8_t *base;
    int64_t size;
} File;

/* The states of one history, and where that of a key stands (index.py). */
typedef struct {
    File file, index;
    int64_t buckets;
    const Layout *layout;
    const double *scales;
    const int64_t *columns; /* of a row, that are summed */
} Part;

typedef struct {
    int64_t header; /* bytes before the first slot or bucket of a file */
    File journal, ids;
    int64_t buckets, bucket_size, way_size, ways;
    int64_t parts, width; /* histories, and features of all of them */
    int64_t inputs, time; /* columns of a row, and which of them is the time */
    Part part[16];
} Store;

typedef struct {
    int64_t rows, named; /* named: as many, or none of them has an id */
    int64_t latest; /* a later time is not the usual */
    const double *inputs;
    const uint8_t *hashes; /* of ids, 16 bytes each */
    double *features;
    uint8_t *states, *keys; /* room for those of one history */
    int64_t *offsets, *times, *place, *values; /* room for `rows` numbers each, of values for all sums of a history */
    const uint8_t *texts[16]; /* of each history the rows' keys, `h1:` and 32 digits each, or anything else for none */
} Batch;

/* The nearest whole number, of two the even one. */
static int64_t whole(double value) {
    const double limit = 4503599627370496.0;
    if (value >= limit || value <= -limit) return (int64_t)value;
    return (int64_t)(value < 0 ? (value - limit) + limit : (value + limit) - limit);
}

/* What a row adds to a sum (amounts.py). */
static int64_t amount(double value, double scale) {
    if (value != value) return MISSING;
    value *= scale;
    return whole(value > MOST ? MOST : value < -MOST ? -MOST : value);
}

/* Microseconds since 1970 (amounts.py). */
static int64_t moment(double seconds) {
    double value = seconds * 1e6;
    return whole(value > FURTHEST ? FURTHEST : value < -FURTHEST ? -FURTHEST : value);
}

static uint8_t digit(uint8_t text) { return (uint8_t)(text <= '9' ? text - '0' : text - 'a' + 10); }

/* The key of `text`. */
static void read_key(uint8_t *key, const uint8_t *text) {
    for (int at = 0; at < KEY; at++)
        key[at] = (uint8_t)(digit(text[PREFIX + 2 * at]) << 4 | digit(text[PREFIX + 2 * at + 1]));
}

/* The head of a change; its bytes follow. */
static uint8_t *change(uint8_t *to, const File *file, int64_t at, int64_t size) {
    copy(to, file->label, file->label_size);
    return put(put(to + file->label_size, (uint64_t)at, 8), (uint64_t)size, 4);
}

/* Whether `size` bytes from `at` on are inside of what is there. */
static int holds(const File *file, int64_t at, int64_t size) { return at >= 0 && at <= file->size - size; }

/* Put each id of the batch into its bucket: the changed buckets behind one another, null where it is not the usual. */
static uint8_t *put_ids(const Store *store, const Batch *batch, uint8_t *to, const uint8_t *end) {
    uint8_t *first = to;
    int64_t step = store->ids.label_size + CHANGE + store->bucket_size, changed = 0;
    for (int64_t row = 0; row < batch->named; row++) {
        const uint8_t *hash = batch->hashes + row * KEY;
        int64_t at = store->header + (int64_t)(little(hash, 8) % (uint64_t)store->buckets) * store->bucket_size;
        int64_t place = 0;
        while (place < changed && batch->offsets[place] != at) place++;
        uint8_t *bucket = first + place * step + store->ids.label_size + CHANGE;
        if (place == changed) {
            if (!holds(&store->ids, at, store->bucket_size) || end - first < (place + 1) * step) return 0;
            batch->offsets[changed++] = at;
            change(first + place * step, &store->ids, at, store->bucket_size);
            copy(bucket, store->ids.base + at, store->bucket_size);
            uint32_t check = (uint32_t)little(bucket, 4);
            if ((check || little(bucket + 4, 4)) && checksum(bucket + 4, store->bucket_size - 4) != check) return 0;
        }
        uint64_t came = little(bucket + 4, 4);
        if (came >= 1u << 30) return 0;
        for (int64_t way = 0; way < store->ways; way++)
            if (same(bucket + BUCKET_HEAD + way * store->way_size, hash, KEY)) return 0;
        uint8_t *way = bucket + BUCKET_HEAD + (int64_t)(came % (uint64_t)store->ways) * store->way_size;
        copy(way, hash, KEY);
        copy(way + KEY, (const uint8_t *)(const void *)(batch->features + row * store->width), 8 * store->width);
        put(bucket + 4, came + 1, 4);
    }
    for (int64_t place = 0; place < changed; place++) {
        uint8_t *bucket = first + place * step + store->ids.label_size + CHANGE;
        put(bucket, checksum(bucket + 4, store->bucket_size - 4), 4);
    }
    return first + changed * step;
}

/* The slot of a key, -1 where none is found. */
static int64_t slot_of(const Store *store, const Part *part, const uint8_t *key) {
    uint64_t tag = eight(key), start = little(key + 8, 8) % (uint64_t)part->buckets;
    for (int64_t step = 0; step < part->buckets; step++) {
        int64_t at = store->header + (int64_t)((start + (uint64_t)step) % (uint64_t)part->buckets) * INDEX_BUCKET;
        if (!holds(&part->index, at, INDEX_BUCKET)) return -1;
        int has_room = 0;
        for (const uint8_t *entry = part->index.base + at + INDEX_HEAD, *end = entry + INDEX_BUCKET - INDEX_HEAD;
             entry < end; entry += INDEX_ENTRY) {
            uint64_t number = little(entry + 8, 8);
            if (eight(entry) == tag && number && number != GONE) return (int64_t)(number - 1);
            has_room |= !number;
        }
        if (has_room) break;
    }
    return -1;
}

/* Which of its different keys each row has: how many there are. */
static int64_t keys_of(const Batch *batch, const uint8_t *text) {
    int64_t count = 0;
    for (int64_t row = 0; row < batch->rows; row++, text += TEXT) {
        uint8_t *own = batch->keys + count * KEY;
        int64_t number = 0;
        batch->place[row] = -1;
        if (*text != 'h') continue;
        read_key(own, text);
        while (!same(batch->keys + number * KEY, own, KEY)) number++;
        batch->place[row] = number;
        count += number == count;
    }
    return count;
}

/* Count one history of the batch: its changed slots go to `*to`, which is then where they end. */
static int32_t put_states(const Store *store, const Part *part, const uint8_t *texts, const Batch *batch,
                          double *features, uint8_t **to, const uint8_t *end) {
    int64_t size = part->layout->size, slot = KEY + size + CHECK, count = keys_of(batch, texts);
    int64_t step = part->file.label_size + CHANGE + slot;
    if (end - *to < count * step) return ASIDE;
    for (int64_t number = 0; number < count; number++) {
        const uint8_t *key = batch->keys + number * KEY;
        int64_t found = slot_of(store, part, key);
        if (found < 0) return NEW;
        if (found > part->file.size / slot) return ASIDE;
        int64_t at = store->header + found * slot;
        if (!holds(&part->file, at, slot)) return ASIDE;
        uint8_t *body = change(*to + number * step, &part->file, at, slot);
        copy(body, part->file.base + at, slot);
        if (!same(body, key, KEY)) return ASIDE;
        if (checksum(body, KEY + size) != (uint32_t)little(body + KEY + size, 4)) return ASIDE;
        copy(batch->states + number * size, body + KEY, size);
    }
    int64_t sums = part->layout->sums;
    for (int64_t row = 0; row < batch->rows; row++)
        for (int64_t sum = 0; sum < sums; sum++)
            batch->values[row * sums + sum] =
                amount(batch->inputs[row * store->inputs + part->columns[sum]], part->scales[sum]);
    advance_rows(part->layout, part->scales, batch->states, batch->place, batch->times, batch->values, 0,
                 (uint64_t)batch->rows, features, (uint64_t)store->width);
    for (int64_t number = 0; number < count; number++) {
        uint8_t *body = *to + number * step + part->file.label_size + CHANGE;
        copy(body + KEY, batch->states + number * size, size);
        put(body + KEY + size, checksum(body, KEY + size), 4);
    }
    *to += count * step;
    return DONE;
}

/* Make the changes of a payload. */
static void make(const Store *store, const uint8_t *from, const uint8_t *end) {
    while (from < end) {
        const uint8_t *head = from + 1 + from[0];
        const File *file = &store->ids;
        for (int64_t part = 0; part < store->parts; part++)
            if (same(from, store->part[part].file.label, store->part[part].file.label_size))
                file = &store->part[part].file;
        int64_t size = (int64_t)little(head + 8, 4);
        copy(file->base + little(head, 8), head + CHANGE, size);
        from = head + CHANGE + size;
    }
}

/* What was written stands before what is written next, for whoever finds it when this process was killed in between. */
#define THEN __asm__ volatile("" ::: "memory")

/* Add a batch, and give its features: DONE; anything else where nothing was changed. */
EXPORT int32_t fraud_add(const Store *store, const Batch *batch) {
    uint8_t *head = store->journal.base, *start = head + JOURNAL_HEAD, *to = start;
    const uint8_t *end = head + store->journal.size;
    if (store->journal.size < JOURNAL_HEAD || little(head, 4)) return ASIDE;
    int64_t before = (int64_t)little(head + 8, 8), newest = before;
    for (int64_t row = 0; row < batch->rows; row++) {
        int64_t time = batch->times[row] = moment(batch->inputs[row * store->inputs + store->time]);
        if (time > batch->latest) return ASIDE;
        if (time > newest) newest = time;
    }
    double *features = batch->features;
    int32_t found;
    for (int64_t part = 0; part < store->parts; features += store->part[part++].layout->features)
        if ((found = put_states(store, &store->part[part], batch->texts[part], batch, features, &to, end))) return found;
    if (!(to = put_ids(store, batch, to, end))) return ASIDE;
    put(head + 4, checksum(start, to - start), 4);
    if (newest != before) put(head + 8, (uint64_t)newest, 8);
    THEN;
    put(head, (uint64_t)(to - start), 4);
    THEN;
    make(store, start, to);
    THEN;
    put(head, 0, 8);
    return DONE;
}
