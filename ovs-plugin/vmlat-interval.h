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

#ifndef VMLAT_INTERVAL_H
#define VMLAT_INTERVAL_H 1

/* Commands whose answer comes later: those with interval=, vmlat/bypass, and
 * vmlat/start while the programs for the kernel datapath are being loaded.
 *
 * The daemon goes on meanwhile.  unixctl keeps a connection that waits for an
 * answer until it gets one, even if the client has gone: it does not look at
 * it before.  So what is kept here can always be answered.
 *
 * Main thread. */

struct ds;
struct unixctl_conn;
struct vmlat_args;

/* Takes what had been counted by now, and answers on 'conn' when the interval
 * of 'args' is over.  Copies 'args'.  Returns NULL or why not, which the
 * caller must free and answer. */
char *vmlat_interval_begin(struct unixctl_conn *conn,
                           const struct vmlat_args *args);

/* Appends to 'reply' what vmlat/start has to say about the kernel datapath and
 * the ways between ports and VMs: what is not measured, or not yet.  Returns
 * NULL, or what is wrong if nothing is measured. */
char *vmlat_interval_start_result(struct ds *reply);

/* Answers the vmlat/start of 'args' with 'reply', which is copied, and that,
 * when the start is over.  Returns NULL or why not, as above. */
char *vmlat_interval_await_start(struct unixctl_conn *conn,
                                 const struct vmlat_args *args,
                                 const struct ds *reply);

/* Opens a window of vmlat/bypass, and answers on 'conn' when it is judged.
 * Returns NULL or why not, as above. */
char *vmlat_interval_await_bypass(struct unixctl_conn *conn,
                                  const struct vmlat_args *args);

/* From the main loop. */
void vmlat_interval_run(void);
void vmlat_interval_wait(void);

/* Answers all that wait with an error. */
void vmlat_interval_exit(void);

#endif /* vmlat-interval.h */
