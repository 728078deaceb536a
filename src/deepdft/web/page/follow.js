// Looks again and again where a job stands, until it is over.

import * as api from "./api.js";

const PAUSE = 120;

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

// `step` is told where it stands, `found` what there is to see; ends with the last answer.
export async function follow(key, { current, step = () => {}, found = null }) {
  let revision = -1;
  while (current()) {
    const job = await api.status(key);
    if (!current()) break;
    step(job);
    if (found && job.quality && job.revision !== revision) {
      revision = job.revision;
      const result = await api.result(key);
      if (!current()) break;
      await found(result);
    }
    if (job.state === "failed") throw new api.Refused(job.error, job.status);
    if (job.state === "done" || job.state === "stopped") return job;
    await pause(PAUSE);
  }
  return null;
}
