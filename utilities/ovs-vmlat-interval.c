/*
 * Copyright (c) 2026 The vmlat authors.
 *
 * Licensed under the Apache License, Version 2.0 (the "License");
 * you may not use this file except in compliance with the License.
 * You may obtain a copy of the License at:
 *
 *     http://www.apache.org/licenses/LICENSE-2.0
 *
 * Unless required by applicable law or agreed to in writing, software
 * distributed under the License is distributed on an "AS IS" BASIS,
 * WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
 * See the License for the specific language governing permissions and
 * limitations under the License.
 */

/* The interval of the difference of two medians.
 *
 * Of each series alone, the interval of its median goes from one of its
 * samples to another (from the k-th smallest to the k-th largest): that holds
 * for samples of any distribution.  The interval of the difference is made of
 * both by the method of variance estimates recovery (Zou and Donner 2008):
 *
 *     low  = d - sqrt((b - b_low)^2 + (a_high - a)^2)
 *     high = d + sqrt((b_high - b)^2 + (a - a_low)^2)
 *
 * Nothing is drawn at random: the same runs give the same interval.
 *
 * Packets that follow one another are often alike, so that n of them tell less
 * than n independent ones.  What is before or behind the median is correlated
 * from packet to packet by so much; the sum of these correlations (Geyer's
 * initial positive sequence) says how many independent samples they are worth,
 * and the k above is that of so many. */

#include <config.h>
#include "ovs-vmlat-run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

/* Packets that are this far from each other count as independent. */
#define MAX_LAG 1000

static int
compare_doubles(const void *a_, const void *b_)
{
    const double *a = a_, *b = b_;

    return *a < *b ? -1 : *a > *b;
}

/* The correlation of 'x', whose mean is 0, with itself 'lag' later. */
static double
autocorrelation(const double *x, size_t n, size_t lag, double square)
{
    double sum = 0;

    for (size_t i = lag; i < n; i++) {
        sum += x[i] * x[i - lag];
    }
    return sum / square;
}

/* Returns how many independent samples the 'n' at 'samples', in the order of
 * time, are worth as for their median. */
static double
count_effective(const double *samples, size_t n, double median)
{
    double *x = xmalloc(n * sizeof *x);
    double mean = 0, square = 0, inflation = -1;

    for (size_t i = 0; i < n; i++) {
        x[i] = (samples[i] > median) - (samples[i] < median);
        mean += x[i] / n;
    }
    for (size_t i = 0; i < n; i++) {
        x[i] -= mean;
        square += x[i] * x[i];
    }
    if (square <= 0) {
        inflation = 1;
    } else {
        for (size_t lag = 0; lag + 1 < n && lag < MAX_LAG; lag += 2) {
            double pair = (autocorrelation(x, n, lag, square)
                           + autocorrelation(x, n, lag + 1, square));

            if (pair <= 0) {
                break;
            }
            inflation += 2 * pair;
        }
    }
    free(x);
    return n / MAX(1, inflation);
}

/* Returns the largest k for which the k-th smallest of 'm' independent samples
 * is above their true median with a probability of 'tail' at most; 0 if there
 * is none. */
static size_t
find_rank(size_t m, double tail)
{
    double log_p = -(double) m * M_LN2, sum = 0;
    size_t k;

    /* The k-th smallest is above if less than k are below. */
    for (k = 0; k < m / 2; k++) {
        sum += exp(log_p);
        if (sum > tail) {
            break;
        }
        log_p += log((double) (m - k) / (k + 1));
    }
    return k;
}

size_t
run_interval_least(double alpha)
{
    size_t n = 1;

    while (!find_rank(n, alpha / 2)) {
        n++;
    }
    return n;
}

/* Finds the median of the 'n' samples and the interval of it. */
static bool
find_median(const double *samples, size_t n, double alpha, double *median,
            double *low, double *high, double *n_effective)
{
    double *sorted;
    size_t m, k, at;

    if (!n) {
        return false;
    }
    sorted = xmemdup(samples, n * sizeof *samples);
    qsort(sorted, n, sizeof *sorted, compare_doubles);
    *median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
    *n_effective = count_effective(samples, n, *median);

    m = *n_effective;
    k = find_rank(m, alpha / 2);
    if (k) {
        at = (k - 0.5) * n / m - 0.5;
        *low = sorted[at];
        *high = sorted[n - 1 - at];
    }
    free(sorted);
    return k > 0;
}

bool
run_interval(const double *a, size_t n_a, const double *b, size_t n_b,
             double alpha, struct run_interval *interval)
{
    double a_low, a_high, b_low, b_high;
    double *medians = interval->median;
    bool known[2];

    memset(interval, 0, sizeof *interval);
    known[0] = find_median(a, n_a, alpha, &medians[0], &a_low, &a_high,
                           &interval->n_effective[0]);
    known[1] = find_median(b, n_b, alpha, &medians[1], &b_low, &b_high,
                           &interval->n_effective[1]);
    interval->difference = medians[1] - medians[0];
    if (!known[0] || !known[1]) {
        return false;
    }
    interval->low = interval->difference
                    - hypot(medians[1] - b_low, a_high - medians[0]);
    interval->high = interval->difference
                     + hypot(b_high - medians[1], medians[0] - a_low);
    return true;
}
