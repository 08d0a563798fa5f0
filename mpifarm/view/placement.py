"""Who works where, and what of the allocation lies idle: said once, when all workers are there.

The rule: each line is about a fact of this start, names the node and the numbers, and says what to type, as `advice` does.
What a user may well have meant is silent: a laptop's mpiexec has no node to spare, four slots on two CPUs may wait for a
disk, and a step that was given -c has what it asked for.

What is known of a node: what its worker offers (the CPUs that it is bound to, those that Slurm and its cpuset allow it,
those that the machine has, and how much memory it gives), and what Slurm says of the job to rank 0. Nodes of which the same
is said share a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mpifarm.settings import Config
from mpifarm.site.offer import Offer
from mpifarm.view import advice
from mpifarm.view.facts import Bound, Crowd, Start
from mpifarm.words import count

_THREADS_OF_A_TASK = frozenset(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"))

_Nodes = Mapping[str, Sequence[Offer]]


def placement(offers: Mapping[int, Offer], config: Config) -> list[str]:
    """Return who works where, and what about it could be better: *offers* are the workers' by rank."""
    nodes: dict[str, list[Offer]] = {}
    for offer in offers.values():
        nodes.setdefault(offer.node, []).append(offer)
    slots = sum(offer.slots for offer in offers.values())
    where = f"{count(len(offers), 'worker')} on {count(len(nodes), 'node')}, {count(slots, 'slot')}"
    start = _start(nodes, config)
    of_start, of_tasks = (advice.advise(cases, start) for cases in (advice.AT_START, advice.OF_TASKS))
    return [where, *(one.said for one in of_start), *_shared_lines(nodes, config), *(one.said for one in of_tasks)]


def least_memory_kib(offers: Iterable[Offer]) -> int:
    """Return how much memory a node gives to its tasks, the least where they differ; 0: of none is it known."""
    return min((offer.memory_kib for offer in offers if offer.memory_kib), default=0)


def memory_words(offers: Iterable[Offer]) -> str:
    """Return the same as the log has it, for `logbook` to find it there: 515072 MiB a node."""
    known = {offer.memory_kib // 1024 for offer in offers if offer.memory_kib}
    return f"{'at least ' if len(known) > 1 else ''}{min(known)} MiB a node" if known else ""


def _start(nodes: _Nodes, config: Config) -> Start:
    job_nodes = config.job.nodes if config.job else 0
    shared, sharing = next(((node, len(there)) for node, there in nodes.items() if len(there) > 1), ("", 0))
    widest = max(nodes.values(), key=lambda there: sum(offer.slots for offer in there), default=[])
    slots = sum(offer.slots for offer in widest)
    return Start(
        job_nodes=job_nodes,
        used=len(nodes.keys() | {config.node}),
        shared=shared,
        sharing=sharing,
        manager="" if config.node in nodes else config.node,
        manager_cpus=config.cpus,
        slots=slots,
        slot_cpus=max(1, _cpus(widest) // slots) if slots else 0,
        seen_cpus=max((offer.seen_cpus for offer in widest), default=0),
        threads_set=bool(config.variables & _THREADS_OF_A_TASK),
    )


def _shared_lines(nodes: _Nodes, config: Config) -> list[str]:
    """Return what is to be said of single nodes, those of which the same is said together."""
    said: dict[str, list[str]] = {}  # and of which nodes
    for node, there in nodes.items():
        found = [one for offer in there for one in advice.advise(advice.OF_A_WORKER, _bound(offer, config))]
        if config.threads is not None:
            crowd = Crowd(sum(offer.slots for offer in there), _cpus(there), len(there))
            found += advice.advise(advice.OF_A_NODE, crowd)
        for notice in dict.fromkeys(one.said for one in found):
            said.setdefault(notice, []).append(node)
    return [f"{_together(named)}: {notice}" for notice, named in said.items()]


def _bound(offer: Offer, config: Config) -> Bound:
    job = config.job
    theirs = offer.usable_cpus
    if job:  # Slurm may keep the step from some of them
        theirs = max(theirs, min(job.cpus, offer.node_cpus) if job.uneven else job.cpus)
    return Bound(
        slots=offer.slots,
        cpus=offer.cpus,
        usable=offer.usable_cpus,
        theirs=theirs,
        node_cpus=offer.node_cpus,
        asked_slots=config.threads is not None,
        in_job=job is not None,
        asked_cpus=bool(job and job.cpus_per_task),
    )


def _cpus(there: Sequence[Offer]) -> int:
    """Return how many CPUs of a node its workers have together: each has its own, or all have the machine's."""
    together = sum(offer.usable_cpus for offer in there)
    return min(together, there[0].node_cpus) if there and there[0].node_cpus else together


def _together(nodes: Sequence[str]) -> str:
    return nodes[0] + (f" and {count(len(nodes) - 1, 'more node')}" if len(nodes) > 1 else "")
