"""Who works where, and what of the allocation lies idle: said once, when all workers are there.

The rule: each line is about a fact of this start, names the node and the numbers, and says what to type. What a user may
well have meant is silent: a laptop's mpiexec has no node to spare, four slots on two CPUs may wait for a disk, and a step
that was given -c has what it asked for.

What is known of a node: what its worker offers (the CPUs that it is bound to, those that Slurm and its cpuset allow it,
those that the machine has, and how much memory it gives), and what Slurm says of the job to rank 0. Nodes of which the same
is said share a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from mpifarm.settings import Config
from mpifarm.site.offer import Offer
from mpifarm.words import count

_FAR_ABOVE = 2  # slots for a CPU
_MANY_SLOTS = 8  # of a node, for threads of its tasks to be in each other's way
_THREADS_OF_A_TASK = frozenset(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"))


def placement(offers: Mapping[int, Offer], config: Config) -> list[str]:
    """Return who works where, and what about it could be better: *offers* are the workers' by rank."""
    nodes: dict[str, list[Offer]] = {}
    for offer in offers.values():
        nodes.setdefault(offer.node, []).append(offer)
    slots = sum(offer.slots for offer in offers.values())
    notices = [f"{count(len(offers), 'worker')} on {count(len(nodes), 'node')}, {count(slots, 'slot')}"]
    notices += _of_the_job(nodes, config)
    if config.node not in nodes:
        would = f"--manager-works would use its {count(config.cpus, 'CPU')}"
        notices.append(f"{config.node}: manager, runs nothing here ({would})")
    return notices + _shared_lines(nodes, config) + list(_threads_of_tasks(nodes, config))


def least_memory_kib(offers: Iterable[Offer]) -> int:
    """Return how much memory a node gives to its tasks, the least where they differ; 0: of none is it known."""
    return min((offer.memory_kib for offer in offers if offer.memory_kib), default=0)


def memory_words(offers: Iterable[Offer]) -> str:
    """Return the same as the log has it, for `logbook` to find it there: 515072 MiB a node."""
    known = {offer.memory_kib // 1024 for offer in offers if offer.memory_kib}
    return f"{'at least ' if len(known) > 1 else ''}{min(known)} MiB a node" if known else ""


def _of_the_job(nodes: Mapping[str, Sequence[Offer]], config: Config) -> Iterator[str]:
    """Yield what is odd about the ranks of a job."""
    if config.job is None:
        return
    used = len(nodes.keys() | {config.node})
    if used < config.job.nodes:
        yield f"the job has {count(config.job.nodes, 'node')} and {used} in use: start one rank on each, srun -N"
    shared = next((node for node, there in nodes.items() if len(there) > 1), None)
    if shared:
        workers = count(len(nodes[shared]), "worker")
        yield f"{workers} share node {shared}: one is enough, srun --ntasks-per-node=1"


def _shared_lines(nodes: Mapping[str, Sequence[Offer]], config: Config) -> list[str]:
    """Return what is to be said of single nodes, those of which the same is said together."""
    said: dict[str, list[str]] = {}  # and of which nodes
    for node, there in nodes.items():
        found = [*(_binding(offer, config) for offer in there), _crowding(there, config)]
        for notice in dict.fromkeys(filter(None, found)):
            said.setdefault(notice, []).append(node)
    return [f"{_together(named)}: {notice}" for notice, named in said.items()]


def _binding(offer: Offer, config: Config) -> str | None:
    """Return what is to be said about the CPUs of a worker: nothing if it has what its tasks need."""
    job = config.job
    theirs = offer.usable_cpus
    if job:  # Slurm may keep the step from some of them
        theirs = max(theirs, min(job.cpus, offer.node_cpus) if job.uneven else job.cpus)
    flag = f"srun -c {theirs}" if job else "mpiexec --bind-to none"
    wanted = theirs if config.threads is None else min(theirs, offer.slots)
    if offer.usable_cpus < wanted:
        return f"{offer.usable_cpus} of {count(theirs, 'CPU')}: {flag}"
    if offer.cpus < min(offer.slots, offer.usable_cpus):
        return f"bound to {offer.cpus} of {count(theirs, 'CPU')}: tasks may use all; {flag} would not bind them"
    if offer.cpus < wanted:
        return f"bound to {offer.cpus} of {count(theirs, 'CPU')}, for {count(offer.slots, 'slot')}: {flag}, or THREADS"
    if job and not job.cpus_per_task and config.threads is None and offer.usable_cpus == 1 < offer.node_cpus:
        flag = f"-c {offer.node_cpus}"  # the job has no more of the node, since nobody has asked for it
        return f"1 of {offer.node_cpus} CPUs: srun {flag}, and #SBATCH {flag} in a batch script"
    return None


def _crowding(there: Sequence[Offer], config: Config) -> str | None:
    """Return what is to be said of a node that was given many more slots than CPUs: tasks that wait may want them."""
    slots, cpus = sum(offer.slots for offer in there), _cpus(there)
    if config.threads is None or slots <= _FAR_ABOVE * cpus:
        return None
    fewer = max(1, cpus // len(there))
    return f"{slots} slots on {count(cpus, 'CPU')}: THREADS={fewer} is faster, unless the tasks mostly wait"


def _threads_of_tasks(nodes: Mapping[str, Sequence[Offer]], config: Config) -> Iterator[str]:
    """Yield what is to be said where each of many tasks would take all CPUs of its node for its threads."""
    if config.variables & _THREADS_OF_A_TASK or not nodes:
        return
    there = max(nodes.values(), key=lambda offers: sum(offer.slots for offer in offers))
    slots, seen = sum(offer.slots for offer in there), max(offer.seen_cpus for offer in there)
    if slots >= _MANY_SLOTS and seen > 1:
        takes = f"a task that uses threads takes all {seen} CPUs, and {slots} run at a time"
        yield f"OMP_NUM_THREADS is not set: {takes}: export OMP_NUM_THREADS={max(1, _cpus(there) // slots)}"


def _cpus(there: Sequence[Offer]) -> int:
    """Return how many CPUs of a node its workers have together: each has its own, or all have the machine's."""
    together = sum(offer.usable_cpus for offer in there)
    return min(together, there[0].node_cpus) if there[0].node_cpus else together


def _together(nodes: Sequence[str]) -> str:
    return nodes[0] + (f" and {count(len(nodes) - 1, 'more node')}" if len(nodes) > 1 else "")
