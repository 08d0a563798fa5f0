"""The machine around us: Slurm, the environment of tasks, CPUs, what is installed.

Its rule: facts about one kind of machine are asked for here, and nowhere else. `slurm` knows jobs and nodes, `environ`
what a task sees of it, `affinity` CPUs, `quota` how much of their time, `memory` how much there is of it, `cgroups`
who limits both, `hosts` what a node is called, `mounts` file systems, `packages` what Python has, `offer` what a worker has
for tasks, `steps` whether those could start one of Slurm's steps, `terminal` how wide it is.
"""
