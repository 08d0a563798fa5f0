"""The list: its lines, its records, and what in it cannot be meant.

Its rule: neither the list nor its .tfin file is ever in memory as a whole. `tasklist` reads and walks; `quoting` and
`grammar` read a line as a shell does, `bashisms` and `foreign` know what is another shell's or another farm's, `check`
judges, `lint` tells.
"""
