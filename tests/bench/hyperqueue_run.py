"""HyperQueue from PyPI (server, worker and client in one process): run the lines of a list by sh -c, SLOTS at a time.

hyperqueue_run.py LIST SLOTS
Standard output and error are not kept: HyperQueue would make two files for each task. Its client asks once a second whether
all is done, so of a short run up to a second is waiting.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path


def main() -> None:
    """Run the list."""
    hyperqueue, cluster = importlib.import_module("hyperqueue"), importlib.import_module("hyperqueue.cluster")
    lines, slots = Path(sys.argv[1]).read_text().splitlines(), int(sys.argv[2])
    with tempfile.TemporaryDirectory() as directory:
        config = cluster.WorkerConfig(cores=slots)
        with cluster.LocalCluster(directory, config) as local:
            client = local.client()
            job = hyperqueue.Job(directory)
            for line in lines:
                job.program(["/bin/sh", "-c", line], stdout=None, stderr=None)
            client.wait_for_jobs([client.submit(job)])


if __name__ == "__main__":
    main()
