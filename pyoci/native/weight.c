/* SPDX-License-Identifier: Apache-2.0 */
/* The one conversion that `update` needs here; tests/unit/test_weight.py compares every value with
 * Python's. */
#include "shortcut.h"

#include <math.h>

int weight_of(unsigned long long shares)
{
    if (shares <= 2)
        return 1;
    double power = log2((double)shares);
    return (int)ceil(pow(10, (power * power + 125 * power) / 612 - 7.0 / 34));
}
