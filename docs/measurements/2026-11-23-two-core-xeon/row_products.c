// How fast the inner loop of decode in Q4_0 reads memory, and a loop that only reads: with small and large pages, with a
// group's scales in front of each block or two blocks' side by side, and with requests for memory at several distances.
//   gcc -O3 -march=native row_products.c -o row_products && ./row_products
#define _GNU_SOURCE
#include <immintrin.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { BLOCKS = 64, BLOCK_BYTES = 288, GROUP_BYTES = BLOCKS * BLOCK_BYTES, LINE = 64, HUGE = 2 << 20 };

// 32 activations, as engine/src/device/cpu/grouped/activations.rs has them.
typedef struct {
    int32_t fours[8];
    int32_t start;
    float scale;
} __attribute__((aligned(64))) Activations;

static double processor_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

// The products of sixteen rows' 32 weights with 32 activations.
static inline __m512 add_block(const char *weights, const char *scales, const Activations *x, __m512 total) {
    __m512i mask = _mm512_set1_epi8(15), sums = _mm512_set1_epi32(x->start), fours[4];
    for (int nth = 0; nth < 4; nth++) {
        fours[nth] = _mm512_loadu_si512(weights + nth * LINE);
        sums = _mm512_dpbusd_epi32(sums, _mm512_and_si512(fours[nth], mask), _mm512_set1_epi32(x->fours[nth]));
    }
    for (int nth = 0; nth < 4; nth++) {
        __m512i upper = _mm512_and_si512(_mm512_srli_epi16(fours[nth], 4), mask);
        sums = _mm512_dpbusd_epi32(sums, upper, _mm512_set1_epi32(x->fours[nth + 4]));
    }
    __m512 rows = _mm512_cvtph_ps(_mm256_loadu_si256((const void *)scales));
    return _mm512_fmadd_ps(_mm512_mul_ps(rows, _mm512_set1_ps(x->scale)), _mm512_cvtepi32_ps(sums), total);
}

static inline __m512 two_blocks(const char *at, const Activations *x, int form, __m512 total) {
    if (form == 0) {
        total = add_block(at + 32, at, x, total);
        return add_block(at + BLOCK_BYTES + 32, at + BLOCK_BYTES, x + 1, total);
    }
    if (form == 1) {
        total = add_block(at + 64, at, x, total);
        return add_block(at + 64 + 256, at + 32, x + 1, total);
    }
    for (int line = 0; line < 9; line++) total = _mm512_add_ps(total, _mm512_loadu_ps(at + line * LINE));
    return total;
}

// One pass over all groups; `form` and `ahead` are constants where this is inlined.
static inline __attribute__((always_inline)) __m512 pass(const char *memory, size_t groups, const Activations *x, int form,
                                                         int ahead) {
    __m512 all = _mm512_setzero_ps();
    for (size_t group = 0; group < groups; group++) {
        __m512 total = _mm512_setzero_ps();
        for (int block = 0; block < BLOCKS; block += 2) {
            const char *at = memory + group * GROUP_BYTES + block * BLOCK_BYTES;
            if (ahead)
                for (int line = 0; line < 9; line++) _mm_prefetch(at + line * LINE + ahead, _MM_HINT_T0);
            total = two_blocks(at, x + block, form, total);
        }
        all = _mm512_add_ps(all, total);
    }
    return all;
}

#define MEASURE(FORM, AHEAD, NAME)                                                                                     \
    {                                                                                                                  \
        double best = 1e9;                                                                                             \
        for (int run = 0; run < 8; run++) {                                                                            \
            double start = processor_s();                                                                              \
            kept = _mm512_add_ps(kept, pass(memory, groups, x, FORM, AHEAD));                                          \
            double took = processor_s() - start;                                                                       \
            best = took < best ? took : best;                                                                          \
        }                                                                                                              \
        printf("%6.1f MB, %s pages, %-13s %4d bytes ahead: %6.2f GB/s\n", bytes / 1e6, large ? "large" : "small", NAME, \
               AHEAD, bytes / best / 1e9);                                                                             \
    }

int main(void) {
    Activations *x = aligned_alloc(64, sizeof(Activations) * BLOCKS);
    memset(x, 1, sizeof(Activations) * BLOCKS);
    __m512 kept = _mm512_setzero_ps();
    size_t sizes[] = {13000, 40};
    for (int size = 0; size < 2; size++)
        for (int large = 0; large < 2; large++) {
            size_t groups = sizes[size], bytes = groups * GROUP_BYTES;
            char *mapped = mmap(0, bytes + 2 * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            char *memory = (char *)(((uintptr_t)mapped + HUGE - 1) & ~(uintptr_t)(HUGE - 1));
            madvise(memory, bytes, large ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
            memset(memory, 0, bytes);
            MEASURE(0, 0, "scales apart") MEASURE(0, 1024, "scales apart") MEASURE(0, 2048, "scales apart")
            MEASURE(0, 4096, "scales apart") MEASURE(1, 0, "scales paired") MEASURE(1, 1024, "scales paired")
            MEASURE(2, 0, "only reads") MEASURE(2, 1024, "only reads")
            munmap(mapped, bytes + 2 * HUGE);
        }
    printf("%d\n", _mm512_reduce_add_ps(kept) == 1);
}
