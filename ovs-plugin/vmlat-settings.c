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

#include <config.h>
#include "vmlat-settings.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "openvswitch/vlog.h"
#include "smap.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(vmlat_settings);

struct setting {
    const char *key;
    uint64_t default_;          /* Scaled. */
    uint64_t min, max;          /* Not scaled; both 0 for a Boolean. */
    uint64_t scale;             /* 0 for a Boolean. */
    const char *meaning;

    uint64_t value;             /* From the database, scaled. */
    char *text;                 /* From the database, as last seen. */
    bool overridden;
    uint64_t override;          /* Scaled. */
};

static struct setting settings[] = {
#define VMLAT_SETTING_BOOL(ID, KEY, DEFAULT, MEANING)                         \
    { KEY, DEFAULT, 0, 0, 0, MEANING, DEFAULT, NULL, false, 0 },
#define VMLAT_SETTING_NUM(ID, KEY, DEFAULT, MIN, MAX, SCALE, MEANING)         \
    { KEY, (uint64_t) (DEFAULT) * (SCALE), MIN, MAX, SCALE, MEANING,          \
      (uint64_t) (DEFAULT) * (SCALE), NULL, false, 0 },
    VMLAT_SETTINGS
#undef VMLAT_SETTING_BOOL
#undef VMLAT_SETTING_NUM
};

/* Parses 'text' for 's'.  Returns true and stores the value, scaled, in
 * '*value' if it is allowed. */
static bool
parse(const struct setting *s, const char *text, uint64_t *value)
{
    double d;
    char *end;

    if (!s->scale) {
        if (!strcmp(text, "true")) {
            *value = true;
        } else if (!strcmp(text, "false")) {
            *value = false;
        } else {
            return false;
        }
        return true;
    }

    if (!isdigit((unsigned char) text[0])) {
        return false;
    }
    errno = 0;
    d = strtod(text, &end);
    if (errno || *end || strspn(text, "0123456789.") != strlen(text)
        || d < s->min || d > s->max
        || (s->scale == 1 && floor(d) < d)) {
        return false;
    }
    *value = d * s->scale + 0.5;
    return true;
}

bool
vmlat_settings_update(const struct smap *other_config)
{
    bool changed = false;

    for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
        struct setting *s = &settings[i];
        const char *text = smap_get(other_config, s->key);
        uint64_t value = s->default_;

        if (nullable_string_is_equal(text, s->text)) {
            continue;
        }
        free(s->text);
        s->text = nullable_xstrdup(text);
        if (text && !parse(s, text, &value)) {
            if (s->scale) {
                VLOG_WARN("other_config:%s=%s: must be a%s number from "
                          "%"PRIu64" to %"PRIu64"; it stays as it was",
                          s->key, text, s->scale == 1 ? " whole" : "",
                          s->min, s->max);
            } else {
                VLOG_WARN("other_config:%s=%s: must be true or false; it "
                          "stays as it was", s->key, text);
            }
            continue;
        }
        if (value != s->value) {
            s->value = value;
            changed = true;
        }
    }
    return changed;
}

uint64_t
vmlat_setting_get(enum vmlat_setting id)
{
    const struct setting *s = &settings[id];

    return s->overridden ? s->override : s->value;
}

void
vmlat_setting_override(enum vmlat_setting id, uint64_t value)
{
    settings[id].overridden = true;
    settings[id].override = value;
}

void
vmlat_setting_describe(enum vmlat_setting id, struct vmlat_setting_info *info)
{
    const struct setting *s = &settings[id];

    info->key = s->key;
    info->value = vmlat_setting_get(id);
    info->scale = s->scale;
    info->overridden = s->overridden;
    info->meaning = s->meaning;
}
