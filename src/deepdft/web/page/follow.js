// Asks again and again where a job stands, until it is over.

import * as api from "./api.js";

// Seconds: progress is shown this often; what is new to see is told at once.
const PATIENCE = 0.15;

// `step` is told where it stands, `found` what there is to see; ends with the last answer.
export async function follow(key, { current, step = () => {}, found = null }) {
  let seen = -1, known = {};
  while (current()) {
    const job = await api.status(key, known);
    if (!current()) break;
    step(job);
    known = { revision: job.revision, wait: PATIENCE };
    if (found && job.quality && job.revision !== seen) {
      seen = job.revision;
      const result = await api.result(key);
      if (!current()) break;
      await found(result);
    }
    if (job.state === "failed") throw new api.Refused(job.error, job.status);
    if (job.state === "done" || job.state === "stopped") return job;
  }
  return null;
}
