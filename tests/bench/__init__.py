"""How fast, how light, how flat: every figure of mpifarm beside that of a peer, or of a limit, from the same run.

    python -m tests.bench                 all of it, a tenth of the size, a few minutes
    python -m tests.bench --scale 1       as in the goals
    python -m tests.bench --only spawn --rounds 9 --json spawn.json
    python -m tests.bench --setup         installs the peers that are missing

The rule: nothing is compared with a number from another day. Contestants take turns (A B C A B C ...), each as whole
processes in a new directory, and what is compared is the median of the rounds. A machine that is busy with something else
moves the figures, and much less their ratios.
"""
